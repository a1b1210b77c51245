// SwiGLU of one row with its gate weight; bf16 is computed in f32.
#pragma once

#include <cstdint>

#include "core/tensor/dtype.h"

namespace troupe::kernels::cpu {

// hidden: [2F], the gate's half first. out[i] = weight * silu(hidden[i]) * hidden[F + i].
void swiglu_row(DType dtype, const void* hidden, double weight, int64_t f, void* out);

// Gradient of the same: `gradient` is that of out. Overwrites hidden by its gradient, writes out
// again, returns the gradient of the weight: sum_i gradient[i] * silu(hidden[i]) * hidden[F + i].
double swiglu_row_gradient(DType dtype, void* hidden, double weight, const void* gradient,
                           int64_t f, void* out);

}  // namespace troupe::kernels::cpu
