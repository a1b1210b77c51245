#include "moe/layer/moe_parameters.h"

#include "moe/experts/expert_kind.h"
#include "moe/routers/table.h"

namespace troupe {
namespace {

// The experts that read a token, on average where experts choose.
double active_experts(const MoEConfig& config) {
  const int64_t choices = router_named(config.router).choices(config.router_options);
  return choices > 0 ? static_cast<double>(choices) : config.capacity_factor.value_or(1.0);
}

}  // namespace

RouterInputs router_inputs(const MoELayerInputs& inputs) {
  RouterInputs router;
  router.experts = inputs.config.experts;
  router.dim = inputs.dim;
  router.name = inputs.name + ".router";
  router.precision = inputs.config.router_precision;
  router.init_std = inputs.init_std;
  router.seed = inputs.seed;
  router.vocab = inputs.vocab;
  return router;
}

ExpertInputs expert_inputs(const MoELayerInputs& inputs) {
  const MoEConfig& config = inputs.config;
  return {config.experts, inputs.dim, config.ffn_dim, inputs.name + ".experts",
          active_experts(config) / static_cast<double>(config.experts)};
}

ExpertInputs shared_expert_inputs(const MoELayerInputs& inputs) {
  const MoEConfig& config = inputs.config;
  return {config.shared_experts, inputs.dim, config.shared_ffn_dim, inputs.name + ".shared"};
}

ParameterContext parameter_context(const MoELayerInputs& inputs, const Parallelism& parallelism) {
  return {parallelism, inputs.compute, inputs.init_std, inputs.down_init_std};
}

std::vector<ParameterSpec> moe_parameters(const MoELayerInputs& inputs,
                                          const Parallelism& parallelism) {
  const MoEConfig& config = inputs.config;
  const ParameterContext context = parameter_context(inputs, parallelism);
  std::vector<ParameterSpec> list;
  const auto append = [&list](std::vector<ParameterSpec> more) {
    for (ParameterSpec& spec : more) list.push_back(std::move(spec));
  };
  if (!config.router_of_layer)
    append(router_parameters(router_named(config.router), config.router_options,
                             router_inputs(inputs)));
  const ExpertInputs routed = expert_inputs(inputs);
  const ExpertKind& kind = expert_kind(routed);
  append(kind.parameters(routed, context));
  if (config.shared_experts > 0)
    append(kind.shared_parameters(shared_expert_inputs(inputs), context));
  return list;
}

}  // namespace troupe
