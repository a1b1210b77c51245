// The language-model loss fused with the output projection, in chunks of tokens: the logits of all
// tokens never exist at once.
#pragma once

#include "core/parameter/parameter.h"
#include "core/tensor/tensor.h"

namespace troupe {

// loss = scale * sum over tokens with target >= 0 of weight[t] * (logsumexp_v(l[t]) - l[t, target])
// with l = x head^T. x_TD: [T, D] in the compute type; head_VD: [V, D]; targets_T: i32 [T],
// negative = not counted, each below V; weight_T: [T] in wide(compute), carries no gradient,
// undefined = 1; scale: 1 / global tokens. Returns a tensor of one element (rank 0) in
// wide(compute). With gradients enabled the gradients of x and head are made on the way (one
// product with the head instead of two) and kept until backward: bytes T * D of the compute type +
// V * D of the wide type.
Tensor linear_cross_entropy(const Tensor& x_TD, Parameter& head_VD, const Tensor& targets_T,
                            double scale, const Tensor& weight_T = {});

// The negative log likelihood of each token, [T] in wide(compute), 0 where the target is negative.
// No gradient.
Tensor token_nll(const Tensor& x_TD, Parameter& head_VD, const Tensor& targets_T);

}  // namespace troupe
