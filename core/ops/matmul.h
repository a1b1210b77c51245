// Products of two tensors that both carry gradients (for weights use core/ops/linear.h).
#pragma once

#include "core/tensor/tensor.h"

namespace troupe {

// out = op(a) op(b), op transposing the last two dims where asked. a: [M, K] or [B, M, K] (stored
// [K, M] when transpose_a), b: [K, N] or [B, K, N]; both of the same rank and floating type, any
// strides. out: [M, N] or [B, M, N], same type. Sizes of 0 are legal; K = 0 gives zeros.
Tensor matmul(const Tensor& a, const Tensor& b, bool transpose_a = false, bool transpose_b = false);

}  // namespace troupe
