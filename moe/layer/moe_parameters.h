// The parameters of a MoE layer, and what its parts are made from.
#pragma once

#include <vector>

#include "moe/experts/experts.h"
#include "moe/layer/moe_layer.h"
#include "moe/routers/router.h"

namespace troupe {

// All of them, in the order of MoELayer::parameters.
std::vector<ParameterSpec> moe_parameters(const MoELayerInputs& inputs,
                                          const Parallelism& parallelism);

// Sizes and names, without device and parameters.
RouterInputs router_inputs(const MoELayerInputs& inputs);
ExpertInputs expert_inputs(const MoELayerInputs& inputs);
ExpertInputs shared_expert_inputs(const MoELayerInputs& inputs);
ParameterContext parameter_context(const MoELayerInputs& inputs, const Parallelism& parallelism);

}  // namespace troupe
