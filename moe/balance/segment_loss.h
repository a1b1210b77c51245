// Losses of sums over segments of rows. Their gradient with respect to a row depends on the row's
// segment only.
#pragma once

#include <cstdint>
#include <functional>
#include <vector>

#include "core/kernels/segments.h"
#include "core/tensor/tensor.h"

namespace troupe {

// The sums of x over the rows of each segment, with what the losses' gradients need.
struct SegmentSums {
  Tensor x_TE;  // f32 or f64
  Tensor segment_T;
  Tensor sums_SE;  // f64
};

// segment: of each row, -1 = in none.
SegmentSums segment_sums(const Tensor& x_TE, const std::vector<int32_t>& segment_T,
                         int64_t segments);

// One element of x's type: factor (weights . sums + last). weights: [segments * E].
Tensor weighted_loss(const SegmentSums& of, const std::vector<double>& weights,
                     const kernels::SumTerms& terms);

// One element: factor times the sum over segments of share times the squared coefficient of
// variation of the segment's sums, E sum_e s_e^2 / (sum_e s_e)^2 - 1.
Tensor variation_loss(const SegmentSums& of, double share, double factor);

// A loss whose value, one element of x's type, is written later, and whose slopes [segments * E],
// to be multiplied by factor, are asked for when backward comes.
Tensor loss_later(const SegmentSums& of, Tensor value,
                  std::function<std::vector<double>()> slope_SE, double factor);

// Writes the value of such a loss.
void write_weighted(const Tensor& sums_SE, const std::vector<double>& weights,
                    const kernels::SumTerms& terms, const Tensor& value);

}  // namespace troupe
