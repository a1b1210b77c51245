#include "moe/routers/parts/learned.h"

#include <vector>

#include "core/base/error.h"
#include "core/ops/wide_linear.h"
#include "moe/routers/parts/select.h"

namespace troupe {

ParameterSpec router_matrix(const RouterInputs& inputs, const std::string& suffix, int64_t rows,
                            double init_std) {
  Init init;
  init.kind = init_std > 0.0 ? Init::Kind::normal : Init::Kind::zeros;
  init.scale = init_std;
  ParameterContext context;
  context.compute = inputs.precision;
  ParameterSpec spec = replicated_parameter(context, inputs.name + "." + suffix, {rows, inputs.dim},
                                            init, TpGradient::partial);
  spec.role = ParameterRole::router;
  return spec;
}

Tensor router_logits(const RouterInput& input, const Tensor& x_TD, Parameter& weight_ED) {
  const Tensor logits = wide_linear(x_TD, weight_ED);
  return input.gather ? input.gather(logits) : logits;
}

SparseAssignment choose_experts(const Tensor& scores_TE, const Tensor& bias_E, int64_t choices,
                                const TokenContext& context) {
  const std::vector<int32_t> chosen = top_k(scores_TE, bias_E, choices);
  SparseAssignment out = empty_assignment(scores_TE.dim(1));
  out.token_begin.reserve(static_cast<size_t>(context.tokens()) + 1);
  out.expert.reserve(chosen.size());
  for (int64_t t = 0; t < context.tokens(); ++t) {
    const auto count = static_cast<size_t>(context.is_valid(t) ? choices : 0);
    out.append(std::span<const int32_t>(chosen.data() + t * choices, count));
  }
  return out;
}

SparseAssignment replayed(const SparseAssignment& saved, const TokenContext& context,
                          int64_t experts) {
  require(saved.tokens == context.tokens() && saved.experts == experts,
          "an assignment of {} tokens to {} experts replayed on {} tokens and {} experts",
          saved.tokens, saved.experts, context.tokens(), experts);
  SparseAssignment out = saved;
  out.kept.assign(out.expert.size(), 1);
  out.weight = {};
  return out;
}

}  // namespace troupe
