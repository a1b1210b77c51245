#include "moe/experts/expert_bank.h"

#include "core/ops/swiglu_experts.h"
#include "core/ops/swiglu_experts_part.h"

namespace troupe {
namespace {

class SwigluPart final : public ExpertsPart {
 public:
  explicit SwigluPart(SwigluExpertsPart part) : part_(std::move(part)) {}

  Tensor forward(const Tensor& x_RD, const Tensor& weight_R, bool keep) override {
    return part_.forward(x_RD, weight_R, keep);
  }
  std::pair<Tensor, Tensor> gradient(const Tensor& dy_RD) override {
    const auto [dx, dw] = part_.gradient(dy_RD, /*want_x=*/true, /*want_gate_weight=*/true);
    return {dx, dw};
  }
  void add_gradient(size_t weight, const Tensor& target, bool fresh) override {
    if (weight == 0) {
      part_.add_down_gradient(target, fresh);
    } else {
      part_.add_gate_up_gradient(target, fresh);
    }
  }

 private:
  SwigluExpertsPart part_;
};

}  // namespace

std::vector<ParameterSpec> expert_parameters(const ExpertInputs& inputs,
                                             const ParameterContext& context) {
  // hidden_dim: cut over etp.
  const auto bank = [&](const char* part, const Shape& global, int hidden_dim, double std) {
    Layout layout = Layout::replicated(global, MeshKind::experts, {Axis::edp})
                        .shard(0, Axis::ep)
                        .shard(hidden_dim, Axis::etp);
    return ParameterSpec{
        inputs.name + "." + part, std::move(layout),     context.compute, {Init::Kind::normal, std},
        /*decay=*/true,
        /*in_products=*/true,     ParameterRole::expert, inputs.active};
  };
  std::vector<ParameterSpec> list{
      bank("gate_up", {inputs.experts, 2 * inputs.ffn_dim, inputs.dim}, 1, context.init_std),
      bank("down", {inputs.experts, inputs.dim, inputs.ffn_dim}, 2, context.residual_std)};
  list[0].layout.dims[1].sections = {inputs.ffn_dim, inputs.ffn_dim};
  return list;
}

std::vector<ParameterSpec> shared_expert_parameters(const ExpertInputs& inputs,
                                                    const ParameterContext& context) {
  const int64_t width = inputs.experts * inputs.ffn_dim;
  return {cut_parameter(context, inputs.name + ".gate_up", {2 * width, inputs.dim}, 0,
                        {Init::Kind::normal, context.init_std}, Cut::block, {width, width}),
          cut_parameter(context, inputs.name + ".down", {inputs.dim, width}, 1,
                        {Init::Kind::normal, context.residual_std})};
}

ExpertBank::ExpertBank(const ExpertInputs& inputs, const ParameterContext& context,
                       const ParameterMaker& maker)
    : parameters_(expert_parameters(inputs, context), maker),
      gate_up_(parameters_.at(inputs.name + ".gate_up")),
      down_(parameters_.at(inputs.name + ".down")) {}

Tensor ExpertBank::forward(const Tensor& x_RD, std::span<const int64_t> rows_per_expert,
                           const Tensor& weight_R) {
  return swiglu_experts(x_RD, rows_per_expert, weight_R, gate_up_, down_);
}

std::unique_ptr<ExpertsPart> ExpertBank::part(int64_t first, int64_t experts,
                                              const std::vector<int64_t>& rows_per_expert) {
  return std::make_unique<SwigluPart>(
      SwigluExpertsPart(gate_up_, down_, first, experts, rows_per_expert));
}

SharedExperts::SharedExperts(const ExpertInputs& inputs, const ParameterContext& context,
                             const ParameterMaker& maker)
    : name_(inputs.name),
      region_(*maker.mesh),
      parameters_(shared_expert_parameters(inputs, context), maker),
      gate_up_(parameters_.at(inputs.name + ".gate_up")),
      down_(parameters_.at(inputs.name + ".down")) {}

Tensor SharedExperts::forward(const Tensor& x_TD) {
  const Tensor rows = region_.enter(x_TD, name_ + " in");
  return region_.leave(swiglu_feed_forward(rows, gate_up_, down_), name_ + " out");
}

}  // namespace troupe
