// Products over rows sorted by expert, against a bank of weights: pieces of (expert, block of rows,
// block of columns), each one single-threaded product. One expert gives the ordinary linear layer.
#pragma once

#include <cstdint>

#include "core/device/device.h"
#include "core/kernels/weight_forms.h"
#include "core/tensor/view.h"

namespace troupe::kernels {

// How many rows each expert holds; expert e's rows follow those of e - 1.
struct RowGroups {
  const int64_t* rows = nullptr;
  int64_t experts = 0;
  int64_t total() const;
  // Rows when each expert's share is filled up to a multiple of kRowPad.
  int64_t padded_total() const;
};

// Row counts that change from step to step are rounded up to this, so that few products are made.
constexpr int64_t kRowPad = 16;
constexpr int64_t padded_rows(int64_t rows) { return (rows + kRowPad - 1) / kRowPad * kRowPad; }

// out[r] = x[r] B_e(r). x: [R, k], out: [R, n] in the type of x (or f32 for bf16); columns
// contiguous, rows at any distance.
void grouped_gemm(Stream& stream, View x, RowGroups groups, const WeightOperand& weight, View out);

// How the rows of an operand of the weight gradient lie.
enum class Rows : uint8_t {
  packed,  // expert after expert
  padded,  // each expert's share filled with zero rows up to a multiple of kRowPad
};

// gradient[e] = left_e^T right_e, or += when accumulate; summed over the rows of expert e. left:
// [R, m], right: [R, n], gradient: [experts, m, n] contiguous in the wide type. At least one of the
// two is padded, or there is one expert. An expert without rows gets zeros.
void grouped_weight_gradient(Stream& stream, View left, Rows left_rows, View right, Rows right_rows,
                             RowGroups groups, View gradient, bool accumulate);

// out: [padded_total, columns] = the rows of x with each expert's share filled with zero rows.
void pad_rows(Stream& stream, View x, RowGroups groups, View out);

}  // namespace troupe::kernels
