// The language-model loss fused with the output projection, in chunks of tokens: the logits of all
// tokens never exist at once.
#pragma once

#include <functional>

#include "core/parameter/parameter.h"
#include "core/tensor/tensor.h"

namespace troupe {

// Joins what the holders of the parts of a vocabulary know of the same tokens, in place, the same
// on all of them: the log-sum-exp over the part becomes the one over the whole, and the target's
// logit (0 where it is in another part) the true one. Both [T] in the wide type.
using JoinVocabulary = std::function<void(const Tensor& logsumexp_T, const Tensor& wanted_T)>;

// Tokens whose gradient of the logits exists at once: a pass over the head's gradient for each
// chunk, so not too few; not more than 1024, nor than 32 MiB where the vocabulary is large.
int64_t cross_entropy_chunk(int64_t vocabulary, DType compute);

// loss = scale * sum over tokens with target >= 0 of weight[t] * (logsumexp_v(l[t]) - l[t, target])
// with l = x head^T. x_TD: [T, D] in the compute type; head_VD: [V, D]; targets_T: i32 [T],
// negative = not counted, each below V; weight_T: [T] in wide(compute), carries no gradient,
// undefined = 1; scale: 1 / global tokens. Returns a tensor of one element (rank 0) in
// wide(compute). With gradients enabled the gradients of x and head are made on the way (one
// product with the head instead of two) and kept until backward: bytes T * D of the compute type +
// V * D of the wide type. join: given where `head` holds a part of the vocabulary (its slice of
// dim 0); loss and token losses are then those of the whole, and the gradient of x is this part's
// share: it is to be summed over the holders.
Tensor linear_cross_entropy(const Tensor& x_TD, Parameter& head_VD, const Tensor& targets_T,
                            double scale, const Tensor& weight_T = {},
                            const JoinVocabulary& join = {});

// The negative log likelihood of each token, [T] in wide(compute), 0 where the target is negative.
// No gradient.
Tensor token_nll(const Tensor& x_TD, Parameter& head_VD, const Tensor& targets_T,
                 const JoinVocabulary& join = {});

}  // namespace troupe
