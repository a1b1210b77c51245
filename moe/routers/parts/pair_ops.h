// Differentiable functions of the pairs of an assignment: how scores become gate weights. Router
// precision (f32 or f64) in and out.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "core/tensor/tensor.h"

namespace troupe {

// out[i] = x[token of pair i, expert of pair i]. x: [T, E]; token_begin: [T + 1]; expert: [P].
Tensor take_pairs(const Tensor& x_TE, std::span<const int64_t> token_begin,
                  std::span<const int32_t> expert);

// Each token's pairs divided by their sum (plus 1e-20, so that a sum of zero gives zeros). w: [P].
Tensor normalise_pairs(const Tensor& w_P, std::span<const int64_t> token_begin);

// Softmax over each token's pairs. x: [P].
Tensor softmax_pairs(const Tensor& x_P, std::span<const int64_t> token_begin);

// out[i] = x[index[i]], indices distinct. x: [P] -> [index.size()].
Tensor take_elements(const Tensor& x_P, std::span<const int32_t> index);

// Chance that expert e is among the k largest of clean + std * noise if only its own noise were
// drawn again: Phi((clean - threshold) / std), threshold being the k-th largest noisy logit of the
// other experts (Shazeer et al. 2017, eq. 9). All [T, E]; k < E, with k = E the chance is 1.
Tensor smooth_load(const Tensor& clean_TE, const Tensor& noisy_TE, const Tensor& std_TE, int64_t k);

}  // namespace troupe
