// Products over rows sorted by expert, against a bank of weights: pieces of (expert, block of rows,
// block of columns), each one single-threaded product. One expert gives the ordinary linear layer.
#pragma once

#include <cstdint>

#include "core/device/device.h"
#include "core/kernels/packed_weights.h"
#include "core/tensor/view.h"

namespace troupe::kernels {

// How many rows each expert holds; expert e's rows follow those of e - 1. In host memory.
struct RowGroups {
  const int64_t* rows = nullptr;
  int64_t experts = 0;
  int64_t total() const;
  // Rows when each expert's share is filled up to a multiple of kRowPad.
  int64_t padded_total() const;
};

// Row counts that change from step to step are filled up to this in sums over rows, so that few
// products are made and the packed forms have whole groups.
constexpr int64_t kRowPad = 32;
constexpr int64_t padded_rows(int64_t rows) { return (rows + kRowPad - 1) / kRowPad * kRowPad; }

// Rows that one thread takes through a product, or through an expert, at a time.
constexpr int64_t kRowBlock = 128;

// out[r] = x[r] B_e(r). x: [R, k], out: [R, n] in the type of x (or f32 for bf16); columns
// contiguous, rows at any distance.
void grouped_gemm(Stream& stream, View x, RowGroups groups, const WeightOperand& weight, View out);

// --- the weight gradient: gradient[e] = left_e^T right_e, summed over the rows of expert e ---
// Are both operands read as rows?
bool weight_gradient_reads_rows(DType dtype);
struct ExpertRows {
  View rows;            // [R, columns], contiguous columns, expert after expert
  bool filled = false;  // each expert begins at a multiple of kRowPad; rows between are not read
  template <typename F>
  void for_each_view(F&& f) {
    f(rows);
  }
};
void grouped_weight_gradient(Stream& stream, ExpertRows left, ExpertRows right, RowGroups groups,
                             View gradient, bool accumulate);

// Else both are first brought into the form that makes the product fast, expert after expert, each
// filled with zero rows up to a multiple of kRowPad.
// left: per expert [m, padded rows], that is transposed. out: [padded_total * m].
void transpose_groups(Stream& stream, View x, RowGroups groups, View out);
// right: per expert [padded rows, n], in panels of columns where that is faster. out:
// [padded_total * n].
void pack_groups(Stream& stream, View x, RowGroups groups, View out);

// gradient: [experts, m, n] contiguous, in the wide type; overwritten, or added to when accumulate.
// An expert without rows gets zeros (or keeps what it has).
void packed_weight_gradient(Stream& stream, View left, View right, RowGroups groups, View gradient,
                            bool accumulate);

}  // namespace troupe::kernels
