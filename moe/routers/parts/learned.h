// What routers with a learned projection share.
#pragma once

#include <memory>
#include <span>
#include <string>
#include <vector>

#include "moe/routers/router.h"

namespace troupe {

// A [experts, dim] matrix on every rank, in router precision; its gradient is partial over the axes
// that hold different tokens.
std::unique_ptr<Parameter> router_matrix(const RouterInputs& inputs, const std::string& suffix,
                                         double init_std);

// x W^T in router precision, of the whole micro-batch: [T, E]. x: input.x_TD or made from it.
Tensor router_logits(const RouterInput& input, const Tensor& x_TD, Parameter& weight_ED);

// The k best experts of every valid token by score + bias ([T, E] values; bias may be empty).
Assignment choose_experts(const Tensor& scores_TE, std::span<const double> bias, int64_t choices,
                          const TokenContext& context);

// A saved assignment to be taken again: without weights and drops. Throws (a bug) when it is of
// other tokens or experts.
Assignment replayed(const Assignment& saved, const TokenContext& context, int64_t experts);

}  // namespace troupe
