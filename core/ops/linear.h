// The product of activations with a weight parameter.
#pragma once

#include "core/parameter/parameter.h"
#include "core/tensor/tensor.h"

namespace troupe {

// y[..., o] = sum_i x[..., i] w[o, i] (+ bias[o]). x: [..., I] in w's compute type; w_OI: [O, I];
// bias: [O] or null; y: [..., O] in the type of x. Weight and bias gradients go straight into the
// main gradients (wide type) and may be deferred.
Tensor linear(const Tensor& x, Parameter& w_OI, Parameter* bias = nullptr);

}  // namespace troupe
