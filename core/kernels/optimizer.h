// Update rules on flat ranges of contiguous f32 or f64 memory; each element is independent, so any
// cut into ranges gives the same bits. One call updates a list of them.
#pragma once

#include <cstdint>
#include <span>

#include "core/kernels/packed_weights.h"
#include "core/kernels/reduce.h"
#include "core/tensor/view.h"

namespace troupe::kernels {

// One AdamW update (Loshchilov and Hutter 2019) with the gradient g times gradient_scale:
//   m = beta1 m + (1 - beta1) g;  v = beta2 v + (1 - beta2) g^2
//   w = w decay - step_size m / (sqrt(v second_correction) + eps)
struct AdamWStep {
  double beta1 = 0.9;
  double beta2 = 0.95;
  double eps = 1e-8;
  double decay = 1.0;              // 1 - lr * weight_decay
  double step_size = 0.0;          // lr / (1 - beta1^t)
  double second_correction = 1.0;  // 1 / (1 - beta2^t)
  double gradient_scale = 1.0;
};
// All [n]. packed: the copies of this value, which are renewed with it; then the range is all of
// it. Null = none.
struct AdamWRange {
  View value, gradient, first_moment, second_moment;
  AdamWStep step;
  PackedWeights* packed = nullptr;
  template <typename F>
  void for_each_view(F&& f) {
    for (View* view : {&value, &gradient, &first_moment, &second_moment}) f(*view);
  }
};
void adamw(Stream& stream, std::span<const AdamWRange> ranges);

// One SGD update with decoupled decay: b = momentum b + g;  w = w decay - lr b. Without momentum
// the buffer's data is null and b = g.
struct SgdStep {
  double lr = 0.0;
  double momentum = 0.0;
  double decay = 1.0;
  double gradient_scale = 1.0;
};
struct SgdRange {
  View value, gradient, buffer;
  SgdStep step;
  PackedWeights* packed = nullptr;
  template <typename F>
  void for_each_view(F&& f) {
    for (View* view : {&value, &gradient, &buffer}) f(*view);
  }
};
void sgd(Stream& stream, std::span<const SgdRange> ranges);

// out f64 [parts]: the sum of x[i]^2 of each part, in an order that depends on its number of
// elements only. Parts of f32 or f64.
void sum_of_squares(Stream& stream, std::span<const Part> parts, View out);

}  // namespace troupe::kernels
