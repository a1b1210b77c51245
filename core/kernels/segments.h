// Rows of a matrix summed by the segment that each belongs to, and losses of these sums: what
// balance terms are made of. x [T, E] in f32 or f64, contiguous; segment i32 [T], -1 = in none;
// sums, weights and slopes f64 [S, E]; a loss has one element of x's type.
#pragma once

#include "core/device/device.h"
#include "core/tensor/view.h"

namespace troupe::kernels {

// In order of rows.
void segment_sums(Stream& stream, View x, View segment, View sums);

// What a weighted sum is taken between, and by what it is multiplied.
struct SumTerms {
  double first = 0.0;
  double last = 0.0;
  double factor = 1.0;
};

// loss = factor (first + weights . sums + last), added in this order.
void weighted_segments(Stream& stream, View sums, View weights, const SumTerms& terms, View loss);

// loss = factor times the sum over segments of share (E sum_e s_e^2 / (sum_e s_e)^2 - 1), 0 for a
// segment whose sum is not positive; slope = d loss / d sums / factor.
void segment_variation(Stream& stream, View sums, double share, double factor, View slope,
                       View loss);

// dx[t] = g factor slope[segment[t]], zeros where segment[t] is -1. g: the loss's gradient.
void segment_loss_gradient(Stream& stream, View g, View slope, double factor, View segment,
                           View dx);

}  // namespace troupe::kernels
