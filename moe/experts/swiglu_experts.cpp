// Experts that are SwiGLU networks: a bank of those that this rank holds, and shared ones.
#include "core/ops/swiglu_experts.h"

#include "core/ops/swiglu_experts_part.h"
#include "moe/experts/expert_kind.h"
#include "parallel/tp/region.h"

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

// Of routed experts: gate_up [E, 2F, D] (sections gate | up) and down [E, D, F], cut over ep in
// dim 0 and over etp in F; the gradient is partial over edp, whose ranks hold the same experts and
// other tokens.
std::vector<ParameterSpec> bank_parameters(const ExpertInputs& inputs,
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

// `experts` networks of width ffn_dim are one of width experts * ffn_dim: gate_up [2F, D],
// down [D, F], on the attention mesh; F is cut over tp.
std::vector<ParameterSpec> shared_parameters(const ExpertInputs& inputs,
                                             const ParameterContext& context) {
  const int64_t width = inputs.experts * inputs.ffn_dim;
  return {cut_parameter(context, inputs.name + ".gate_up", {2 * width, inputs.dim}, 0,
                        {Init::Kind::normal, context.init_std}, Cut::block, {width, width}),
          cut_parameter(context, inputs.name + ".down", {inputs.dim, width}, 1,
                        {Init::Kind::normal, context.residual_std})};
}

class ExpertBank final : public Experts {
 public:
  ExpertBank(const ExpertInputs& inputs, const ParameterContext& context,
             const ParameterMaker& maker)
      : parameters_(bank_parameters(inputs, context), maker),
        gate_up_(parameters_.at(inputs.name + ".gate_up")),
        down_(parameters_.at(inputs.name + ".down")) {}

  std::unique_ptr<ExpertsPart> part(int64_t first, int64_t experts,
                                    const std::vector<int64_t>& rows_per_expert) override {
    return std::make_unique<SwigluPart>(
        SwigluExpertsPart(gate_up_, down_, first, experts, rows_per_expert));
  }
  std::vector<Parameter*> weights() override { return {&down_, &gate_up_}; }
  void parameters(const std::function<void(Parameter&)>& visit) override {
    parameters_.visit(visit);
  }

 private:
  ParameterSet parameters_;
  Parameter& gate_up_;
  Parameter& down_;
};

class SharedSwiglu final : public SharedExperts {
 public:
  SharedSwiglu(const ExpertInputs& inputs, const ParameterContext& context,
               const ParameterMaker& maker)
      : name_(inputs.name),
        region_(*maker.mesh),
        parameters_(shared_parameters(inputs, context), maker),
        gate_up_(parameters_.at(inputs.name + ".gate_up")),
        down_(parameters_.at(inputs.name + ".down")) {}

  Tensor forward(const Tensor& x_TD) override {
    const Tensor rows = region_.enter(x_TD, name_ + " in");
    return region_.leave(swiglu_feed_forward(rows, gate_up_, down_), name_ + " out");
  }
  void parameters(const std::function<void(Parameter&)>& visit) override {
    parameters_.visit(visit);
  }

 private:
  std::string name_;
  TensorRegion region_;
  ParameterSet parameters_;
  Parameter& gate_up_;
  Parameter& down_;
};

}  // namespace

ExpertKind swiglu_expert_kind() {
  ExpertKind out;
  out.parameters = bank_parameters;
  out.make = [](const ExpertInputs& inputs, const ParameterContext& context,
                const ParameterMaker& maker) -> std::unique_ptr<Experts> {
    return std::make_unique<ExpertBank>(inputs, context, maker);
  };
  out.shared_parameters = shared_parameters;
  out.make_shared = [](const ExpertInputs& inputs, const ParameterContext& context,
                       const ParameterMaker& maker) -> std::unique_ptr<SharedExperts> {
    return std::make_unique<SharedSwiglu>(inputs, context, maker);
  };
  return out;
}

}  // namespace troupe
