#include "models/model/value_units.h"

#include <algorithm>

namespace troupe {
namespace {

std::string layer_unit(int64_t layer) { return "layers." + std::to_string(layer); }

}  // namespace

std::string value_unit(const std::string& parameter) {
  const size_t first = parameter.find('.');
  if (parameter.compare(0, first, "layers") != 0) return parameter.substr(0, first);
  return parameter.substr(0, parameter.find('.', first + 1));
}

UnitPlan unit_plan(const ModelConfig& config, const TransformerParts& parts) {
  return {config.layers, parts.positions != nullptr, config.tie_embeddings};
}

std::vector<ValueUse> forward_uses(const UnitPlan& plan, int virtual_stages, int virtual_stage) {
  std::vector<ValueUse> uses;
  if (virtual_stage == 0) uses.push_back({"embedding"});
  if (virtual_stage == 0 && plan.positions) uses.push_back({"positions"});
  const LayerRange layers = layers_of_virtual_stage(plan.layers, virtual_stages, virtual_stage);
  for (int64_t layer = layers.begin; layer < layers.end; ++layer)
    uses.push_back({layer_unit(layer)});
  if (is_last_piece(virtual_stage, virtual_stages)) {
    uses.push_back({kStayingUnit, true});
    uses.push_back({plan.tied_head ? "embedding" : "head"});
  }
  return uses;
}

std::vector<ValueUse> backward_uses(const UnitPlan& plan, int virtual_stages, int virtual_stage) {
  std::vector<ValueUse> uses;
  const LayerRange layers = layers_of_virtual_stage(plan.layers, virtual_stages, virtual_stage);
  for (int64_t layer = layers.end; layer-- > layers.begin;) uses.push_back({layer_unit(layer)});
  return uses;
}

std::vector<ValueUse> step_uses(const UnitPlan& plan, const Pipeline& pipeline, int stage) {
  std::vector<ValueUse> uses;
  for (const PipelineStep& step : pipeline_steps(pipeline, stage)) {
    const int virtual_stage = pipeline.virtual_stage(stage, step.chunk);
    std::vector<ValueUse> some;
    if (step.action == PipelineAction::forward) {
      some = forward_uses(plan, pipeline.virtual_stage_count(), virtual_stage);
    } else if (step.action == PipelineAction::backward ||
               step.action == PipelineAction::input_gradient) {
      some = backward_uses(plan, pipeline.virtual_stage_count(), virtual_stage);
    }
    uses.insert(uses.end(), some.begin(), some.end());
  }
  return uses;
}

}  // namespace troupe
