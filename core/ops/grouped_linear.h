// A bank of weights applied to rows sorted by expert: one grouped product, no padding by the
// caller.
#pragma once

#include <cstdint>
#include <span>

#include "core/parameter/parameter.h"
#include "core/tensor/tensor.h"

namespace troupe {

// Rows of expert e follow those of expert e - 1: y[r, o] = sum_i x[r, i] w[e(r), o, i].
// x_RI: [R, I] in the compute type; rows_per_expert: E counts that sum to R, zeros allowed, one
// expert may hold all rows; bank_EOI: [E, O, I] (or [O, I] with one expert). Returns [R, O].
// The weight gradient of an expert without rows is zero.
Tensor grouped_linear(const Tensor& x_RI, std::span<const int64_t> rows_per_expert,
                      Parameter& bank_EOI);

}  // namespace troupe
