#include "moe/routers/parts/learned.h"

#include <algorithm>

#include "core/base/error.h"
#include "core/device/cpu/parallel_for.h"
#include "core/ops/wide_linear.h"
#include "core/tensor/host_memory.h"
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

namespace {

// The best experts of the tokens of one piece: [tokens, choices] in `chosen`.
template <typename T>
void choose_rows(const T* scores, std::span<const double> bias, int64_t begin, int64_t end,
                 int64_t experts, int64_t choices, const TokenContext& context, int32_t* chosen) {
  std::vector<double> row(static_cast<size_t>(experts));
  for (int64_t t = begin; t < end; ++t) {
    if (!context.is_valid(t)) continue;
    for (size_t e = 0; e < row.size(); ++e) {
      row[e] = static_cast<double>(scores[t * experts + static_cast<int64_t>(e)]);
      if (!bias.empty()) row[e] += bias[e];
    }
    top_k(row, std::span(chosen + t * choices, static_cast<size_t>(choices)));
  }
}

}  // namespace

SparseAssignment choose_experts(const Tensor& scores_TE, std::span<const double> bias,
                                int64_t choices, const TokenContext& context) {
  require(scores_TE.contiguous(), "scores with strides {}", scores_TE.strides().text());
  const int64_t experts = scores_TE.dim(1);
  const int64_t tokens = context.tokens();
  std::vector<int32_t> chosen(static_cast<size_t>(tokens * choices));
  constexpr int64_t kRows = 128;
  const HostBytes scores(scores_TE, HostAccess::read);
  parallel_for(scores_TE.stream(), (tokens + kRows - 1) / kRows, [&](int64_t piece) {
    const int64_t begin = piece * kRows;
    const int64_t end = std::min(tokens, begin + kRows);
    if (scores_TE.dtype() == DType::f64) {
      choose_rows(reinterpret_cast<const double*>(scores.data()), bias, begin, end, experts,
                  choices, context, chosen.data());
    } else {
      choose_rows(reinterpret_cast<const float*>(scores.data()), bias, begin, end, experts, choices,
                  context, chosen.data());
    }
  });
  SparseAssignment out = empty_assignment(experts);
  out.token_begin.reserve(static_cast<size_t>(tokens) + 1);
  out.expert.reserve(chosen.size());
  for (int64_t t = 0; t < tokens; ++t) {
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
