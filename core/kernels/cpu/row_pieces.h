// The cut of a grouped product over rows and columns: a rule of sizes only, so that results do not
// depend on the number of threads.
#pragma once

#include <array>
#include <cstdint>
#include <vector>

#include "core/kernels/grouped_gemm.h"

namespace troupe::kernels::cpu {

struct RowPiece {
  int64_t expert = 0;
  int64_t row = 0;            // first row of all
  int64_t padded_row = 0;     // first row in a buffer with filled experts
  int64_t row_in_expert = 0;  // first row of the expert's own; a multiple of kRowBlock
  int64_t expert_rows = 0;    // of the whole expert
  int64_t rows = 0;
  int64_t column = 0;
  int64_t columns = 0;
};

// Pieces of at most kRowBlock rows, whole blocks first, then the ends of the experts. Columns are
// cut too (at multiples of 64) while there are few pieces.
std::vector<RowPiece> row_pieces(RowGroups groups, int64_t columns);

// Rows that the product of a piece runs with: few different sizes, so that few products are made.
int64_t product_rows(int64_t rows);
// The sizes that it can give, rising.
constexpr std::array<int64_t, 12> kProductRows = {1, 2, 4, 8, 16, 32, 48, 64, 80, 96, 112, 128};

}  // namespace troupe::kernels::cpu
