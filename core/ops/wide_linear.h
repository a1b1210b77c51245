// The product of activations with a weight that computes in a wider type: a router under bf16.
#pragma once

#include "core/parameter/parameter.h"
#include "core/tensor/tensor.h"

namespace troupe {

// y[..., o] = sum_i x[..., i] w[o, i] in w's compute type: linear(cast(x, ...), w_OI) without
// holding x in that type, in forward or for backward. x: [..., I] in w's compute type or a narrower
// one; w_OI: [O, I]; y: [..., O].
Tensor wide_linear(const Tensor& x, Parameter& w_OI);

}  // namespace troupe
