// Writing the packed and transposed forms of product operands.
//
// Packed: B [K, N] as N / P panels of P columns, one after the other; a panel is [K][P] in f64 and
// f32 and [K / 2][P][2] in bf16, rows k and k + 1 side by side. N % P = 0; bf16: K % 2 = 0. P = 64
// in bf16: oneDNN's BA16a64b2a.
#pragma once

#include <cstdint>

#include "core/tensor/dtype.h"

namespace troupe::kernels::cpu {

// `count` rows of W [out, in], from `row` on, into B = W^T in panels of this many columns: k = in,
// n = out. `rows` begins at that row; row and count: multiples of 16, in f64 of 8.
void pack_transposed(const void* rows, DType dtype, int64_t row, int64_t count, int64_t in,
                     int64_t panel, void* packed);

// Some rows of an operand, to be filled with zero rows.
struct RowsBlock {
  const void* data = nullptr;  // [rows, columns], contiguous columns
  DType dtype = DType::f32;
  int64_t ld = 0;
  int64_t rows = 0;
  int64_t filled_rows = 0;  // a multiple of 32 where zeros are needed
  int64_t columns = 0;
};
// out [columns, out_ld] at column 0: out[c][r] = data[r][c], zeros from rows to filled_rows.
void transpose_block(const RowsBlock& block, void* out, int64_t out_ld);
// Rows [row, row + filled_rows) of B [k, columns]: in panels of this many columns, or as they lie
// for 0. row: even.
void pack_block(const RowsBlock& block, int64_t row, int64_t k, int64_t panel, void* out);

// Copies `rows` rows of `columns` elements of `size` bytes and fills up to filled_rows with zeros.
void copy_rows(const void* from, int64_t from_ld, int64_t rows, int64_t filled_rows,
               int64_t columns, int64_t size, void* to, int64_t to_ld);

}  // namespace troupe::kernels::cpu
