// Routed experts of classes that choose them by a softmax over one linear layer.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "models/convert/hf_families/parts/llama_shape.h"
#include "moe/routers/scored_choice.h"

namespace troupe {

// Names of the parts of a layer with experts, behind "model.layers.N.".
struct ExpertNames {
  std::string gate;        // "mlp.gate.weight"
  std::string experts;     // "mlp.experts."
  std::string gate_part;   // "gate_proj"
  std::string up_part;     // "up_proj"
  std::string down_part;   // "down_proj"
  std::string fused_gate;  // of the form in which experts lie in one tensor
  std::string fused_experts;
};

// A layer's experts as config.json has them: a faulty number of experts or choices is noted.
MoEConfig read_experts(HfConfigReader& config, int64_t experts, int64_t width,
                       const ScoredChoice& choice);
// The balance loss of these classes is one term of all layers, and on only if
// "output_router_logits" is true, which is not supported. Draws on the router's input in training
// neither.
void read_router_training(HfConfigReader& config);

// What of the layers with experts `says` does not cover: null where they have none.
std::optional<ScoredChoice> choice_of(const MoEConfig& moe);
// One configuration of all layers with experts; null where there are none, or several.
const MoEConfig* common_experts(const ModelConfig& model);
void add_expert_lacks(const ModelConfig& model,
                      const std::function<std::string(const ScoredChoice&)>& refuses,
                      std::vector<std::string>& list);

void link_experts(const ModelConfig& model, int64_t layer, const ExpertNames& names, bool fused,
                  LinkList& links);

}  // namespace troupe
