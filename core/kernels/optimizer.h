// Update rules on flat ranges of contiguous f32 or f64 memory; each element is independent, so any
// cut into ranges gives the same bits.
#pragma once

#include <cstdint>

#include "core/tensor/dtype.h"

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
void adamw(DType dtype, void* value, const void* gradient, void* first_moment, void* second_moment,
           int64_t elements, const AdamWStep& step);

// One SGD update with decoupled decay: b = momentum b + g;  w = w decay - lr b. Without momentum
// `buffer` is null and b = g.
struct SgdStep {
  double lr = 0.0;
  double momentum = 0.0;
  double decay = 1.0;
  double gradient_scale = 1.0;
};
void sgd(DType dtype, void* value, const void* gradient, void* buffer, int64_t elements,
         const SgdStep& step);

// Sum of x[i]^2 in f64, in an order that depends on the number of elements only. f32 or f64.
double sum_of_squares(DType dtype, const void* x, int64_t elements);

}  // namespace troupe::kernels
