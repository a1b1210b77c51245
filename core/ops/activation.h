// Elementwise functions of one tensor, and SwiGLU. Same shape and floating type out as in.
#pragma once

#include "core/tensor/tensor.h"

namespace troupe {

Tensor relu(const Tensor& x);          // gradient 0 at 0
Tensor squared_relu(const Tensor& x);  // max(x, 0)^2 (So et al., Primer, 2021)
Tensor sigmoid(const Tensor& x);
Tensor silu(const Tensor& x);  // x sigmoid(x)
Tensor gelu(const Tensor& x);  // x Phi(x), the exact form with erf (Hendrycks and Gimpel, 2016)
// The form of GPT-2: x / 2 (1 + tanh(sqrt(2 / pi) (x + 0.044715 x^3))).
Tensor gelu_tanh(const Tensor& x);
Tensor tanh(const Tensor& x);
Tensor exp(const Tensor& x);
Tensor log(const Tensor& x);   // x > 0
Tensor sqrt(const Tensor& x);  // x > 0
Tensor square(const Tensor& x);
Tensor softplus(const Tensor& x);  // log(1 + exp(x))
// Distribution function of the standard normal.
Tensor normal_cdf(const Tensor& x);

// silu(gate) * up (Shazeer 2020), in one pass; the backward recomputes from gate and up.
Tensor swiglu(const Tensor& gate, const Tensor& up);
// x [..., 2F] holds gate | up along the last dim; out [..., F].
Tensor swiglu(const Tensor& x);

}  // namespace troupe
