// A loss whose gradient with respect to a row depends on the row's segment only.
#pragma once

#include <cstdint>
#include <functional>
#include <vector>

#include "core/tensor/tensor.h"

namespace troupe {

// One element of the given value; d value / d x[t, e] = slope[segment[t], e], 0 where segment[t] is
// -1. x: [T, E] in f32 or f64; slope: [segments * E].
Tensor segment_loss(const Tensor& x_TE, double value, std::vector<double> slope_SE,
                    std::vector<int32_t> segment_T);

// The same where the slope is not known yet: asked for when backward comes. value: one element of
// x's type, written later.
Tensor segment_loss_later(const Tensor& x_TE, Tensor value,
                          std::function<std::vector<double>()> slope_SE,
                          std::vector<int32_t> segment_T);

// Sums of x over the rows of each segment, in order of rows: [segments * E].
std::vector<double> segment_sums(const Tensor& x_TE, const std::vector<int32_t>& segment_T,
                                 int64_t segments);

}  // namespace troupe
