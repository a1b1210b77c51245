// The units in which a model uses its values: the embedding, each block, the last norm, the head.
// Their order in a step is a pure function of the schedule, so that values which are spread over
// ranks can be on their way before they are used, and `check` can count the bytes.
#pragma once

#include <string>
#include <vector>

#include "core/parameter/parameter_gatherer.h"
#include "models/model/transformer_parts.h"
#include "parallel/pp/pipeline_schedule.h"

namespace troupe {

// "layers.3" of "layers.3.attention.q.weight"; "embedding" of "embedding.weight".
std::string value_unit(const std::string& parameter);

// The last norm. It is small and backward reads it again, so its values stay after its first use.
inline constexpr const char* kStayingUnit = "norm";

// What decides on the units of a model.
struct UnitPlan {
  int64_t layers = 0;
  bool positions = false;  // a table of positions stands beside the embedding
  bool tied_head = false;  // the head is the embedding's table
};
UnitPlan unit_plan(const ModelConfig& config, const TransformerParts& parts);

// Forward of the piece of the model at `virtual_stage`.
std::vector<ValueUse> forward_uses(const UnitPlan& plan, int virtual_stages, int virtual_stage);
// Its backward. The embedding and the head read no values then, and the norm is still there.
std::vector<ValueUse> backward_uses(const UnitPlan& plan, int virtual_stages, int virtual_stage);

// All uses of one step of training on a pipeline stage, in order.
std::vector<ValueUse> step_uses(const UnitPlan& plan, const Pipeline& pipeline, int stage);

}  // namespace troupe
