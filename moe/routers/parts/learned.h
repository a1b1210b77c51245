// What routers with a learned projection share.
#pragma once

#include <string>
#include <vector>

#include "moe/routers/router.h"

namespace troupe {

// A [rows, dim] matrix on every rank, in router precision; its gradient is partial over the axes
// that hold different tokens. init_std 0: zeros.
ParameterSpec router_matrix(const RouterInputs& inputs, const std::string& suffix, int64_t rows,
                            double init_std);

// x W^T in router precision, of the whole micro-batch: [T, E]. x: input.x_TD or made from it.
Tensor router_logits(const RouterInput& input, const Tensor& x_TD, Parameter& weight_ED);

// The k best experts of every valid token by score + bias (of the scores' type; may be undefined).
SparseAssignment choose_experts(const Tensor& scores_TE, const Tensor& bias_E, int64_t choices,
                                const TokenContext& context);

// A saved assignment to be taken again: without weights and drops. Throws (a bug) when it is of
// other tokens or experts.
SparseAssignment replayed(const SparseAssignment& saved, const TokenContext& context,
                          int64_t experts);

}  // namespace troupe
