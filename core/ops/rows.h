// Gather and fixed-order sum of rows.
#pragma once

#include "core/tensor/tensor.h"

namespace troupe {

// out[r] = x[rows[r]], or a row of zeros where rows[r] is -1. x_TD [T, D], rows i32 [R] -> [R, D].
// The gradient of a row sums its uses in rising r.
Tensor gather_rows(const Tensor& x_TD, const Tensor& rows);

// out[t] = sum of x[r] over the r with rows[r] == t, in rising r; rows[r] == -1 is left out.
// x_RD [R, D], rows i32 [R] -> [count, D]. Sums in the wide type.
Tensor scatter_add_rows(const Tensor& x_RD, const Tensor& rows, int64_t count);

// For each output row a list of input rows, as compressed rows: output t sums entries
// [offsets[t], offsets[t + 1]) of `rows`, in that order.
struct RowLists {
  Tensor offsets;  // i32 [T + 1], rising from 0
  Tensor rows;     // i32 [entries], each in [0, R)
};
// out[t] = sum over its entries e of weights[e] * x[rows[e]]; weights [entries] (undefined = 1) in
// the wide type of x. x_RD [R, D] -> [T, D]. Sums in the wide type, in the order of the list.
Tensor combine_rows(const Tensor& x_RD, const RowLists& lists, const Tensor& weights = {});

// out[t, j] = x[t, index[t, j]]: x [T, E], index i32 [T, K] -> [T, K].
Tensor take_along_rows(const Tensor& x, const Tensor& index);

}  // namespace troupe
