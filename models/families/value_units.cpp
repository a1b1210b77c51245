#include "models/families/value_units.h"

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

std::vector<ValueUse> forward_uses(const DecoderConfig& config, int places, int place) {
  std::vector<ValueUse> uses;
  if (place == 0) uses.push_back({"embedding"});
  const LayerRange layers = layers_of_place(config.layers, places, place);
  for (int64_t layer = layers.begin; layer < layers.end; ++layer)
    uses.push_back({layer_unit(layer)});
  if (place + 1 == places) {
    uses.push_back({kStayingUnit, true});
    uses.push_back({config.tie_embeddings ? "embedding" : "head"});
  }
  return uses;
}

std::vector<ValueUse> backward_uses(const DecoderConfig& config, int places, int place) {
  std::vector<ValueUse> uses;
  const LayerRange layers = layers_of_place(config.layers, places, place);
  for (int64_t layer = layers.end; layer-- > layers.begin;) uses.push_back({layer_unit(layer)});
  return uses;
}

std::vector<ValueUse> step_uses(const DecoderConfig& config, const Pipeline& pipeline, int stage) {
  std::vector<ValueUse> uses;
  for (const PipelineStep& step : pipeline_steps(pipeline, stage)) {
    const int place = pipeline.place(stage, step.chunk);
    std::vector<ValueUse> some;
    if (step.action == PipelineAction::forward) {
      some = forward_uses(config, pipeline.places(), place);
    } else if (step.action == PipelineAction::backward ||
               step.action == PipelineAction::input_gradient) {
      some = backward_uses(config, pipeline.places(), place);
    }
    uses.insert(uses.end(), some.begin(), some.end());
  }
  return uses;
}

}  // namespace troupe
