#include "moe/routers/parts/learned.h"

#include "core/base/error.h"
#include "core/ops/linear.h"
#include "core/ops/view.h"
#include "moe/routers/parts/select.h"

namespace troupe {

std::unique_ptr<Parameter> router_matrix(const RouterSetup& setup, const std::string& suffix,
                                         double init_std) {
  const Shape shape{setup.experts, setup.dim};
  Init init;
  init.kind = init_std > 0.0 ? Init::Kind::normal : Init::Kind::zeros;
  init.scale = init_std;
  return std::make_unique<Parameter>(
      setup.name + "." + suffix,
      Layout::replicated(shape, MeshKind::attention, {Axis::dp, Axis::cp}), Box{Shape{0, 0}, shape},
      setup.precision, init, /*decay=*/true, setup.device);
}

Tensor router_logits(const Tensor& x_TD, Parameter& weight_ED) {
  return linear(cast(x_TD, weight_ED.compute()), weight_ED);
}

Assignment choose_experts(const Tensor& scores_TE, std::span<const double> bias, int64_t choices,
                          const TokenContext& context) {
  const int64_t experts = scores_TE.dim(1);
  std::vector<double> scores = scores_TE.values();
  std::vector<int32_t> chosen(static_cast<size_t>(choices));
  Assignment out = empty_assignment(experts);
  for (int64_t t = 0; t < context.tokens(); ++t) {
    if (!context.is_valid(t)) {
      out.append({});
      continue;
    }
    const std::span<double> row(scores.data() + t * experts, static_cast<size_t>(experts));
    for (size_t e = 0; e < bias.size(); ++e) row[e] += bias[e];
    top_k(row, chosen);
    out.append(chosen);
  }
  return out;
}

Assignment replayed(const Assignment& saved, const TokenContext& context, int64_t experts) {
  require(saved.tokens == context.tokens() && saved.experts == experts,
          "an assignment of {} tokens to {} experts replayed on {} tokens and {} experts",
          saved.tokens, saved.experts, context.tokens(), experts);
  Assignment out = saved;
  out.kept.assign(out.expert.size(), 1);
  out.weight = {};
  return out;
}

Field make_field(const std::string& name, FieldType type, FieldValue default_value,
                 const std::string& help) {
  Field field;
  field.name = name;
  field.type = type;
  field.default_value = std::move(default_value);
  field.help = help;
  return field;
}

Field bias_update_field() {
  Field field = make_field("bias_update", FieldType::real, 0.0,
                           "step of the selection bias of loss-free balancing, moved once per step "
                           "by the sign of (mean load - load); 0 = off");
  field.minimum = 0.0;
  return field;
}

}  // namespace troupe
