// Qwen3 with experts (Yang et al. 2025) in the layers that config.json tells.
#include <fmt/format.h>

#include <algorithm>

#include "models/convert/hf_families/parts/experts.h"
#include "models/convert/hf_families/parts/qwen3_shape.h"
#include "models/convert/hf_families/parts/qwen_window.h"

namespace troupe {
namespace {

const ExpertNames& names() {
  static const ExpertNames names{"mlp.gate.weight", "mlp.experts.",    "gate_proj",   "up_proj",
                                 "down_proj",       "mlp.gate.weight", "mlp.experts."};
  return names;
}

// Layer i has experts unless it is listed, and only every step-th has.
std::vector<bool> sparse_layers(HfConfigReader& config, int64_t layers) {
  int64_t step = config.integer({"decoder_sparse_step"}, 1);
  if (step < 1) {
    config.fault(fmt::format("{}: it must be at least 1", config.shown("decoder_sparse_step")));
    step = 1;
  }
  std::vector<bool> sparse(static_cast<size_t>(layers));
  for (int64_t i = 0; i < layers; ++i) sparse[static_cast<size_t>(i)] = (i + 1) % step == 0;
  for (const int64_t layer : config.integers({"mlp_only_layers"})) {
    if (layer >= 0 && layer < layers) sparse[static_cast<size_t>(layer)] = false;
  }
  return sparse;
}

ModelConfig read(HfConfigReader& config) {
  ModelConfig model = read_llama_shape(config, qwen3_shape());
  read_qwen_window(config);
  read_router_training(config);
  ScoredChoice choice;
  choice.top_k = config.integer({"num_experts_per_tok"}, 8);
  choice.renormalize = config.boolean({"norm_topk_prob"}, false);
  const int64_t experts = config.integer({"num_experts", "num_local_experts"}, 128);
  const MoEConfig moe =
      read_experts(config, experts, config.integer({"moe_intermediate_size"}, 768), choice);
  const std::vector<bool> sparse = sparse_layers(config, model.layers);
  for (size_t i = 0; i < sparse.size(); ++i) {
    if (sparse[i]) model.moe[i] = moe;
  }
  return model;
}

std::vector<std::string> lacks(const ModelConfig& model) {
  std::vector<std::string> list = llama_shape_lacks(model, qwen3_shape());
  if (model.window != 0) list.push_back("a window of attention");
  add_expert_lacks(
      model,
      [](const ScoredChoice& choice) -> std::string {
        if (choice.scale != 1.0) return "a factor on the weights of experts";
        return choice.score == ScoredChoice::Score::sigmoid ? "sigmoid scores" : "";
      },
      list);
  return list;
}

void write(const ModelConfig& model, nlohmann::ordered_json& config) {
  const MoEConfig& moe = *common_experts(model);
  const ScoredChoice choice = choice_of(moe).value();
  write_llama_shape(model, qwen3_shape(), config);
  write_qwen_window(config);
  config["moe_intermediate_size"] = moe.ffn_dim;
  config["num_experts"] = moe.experts;
  config["num_experts_per_tok"] = choice.top_k;
  config["norm_topk_prob"] =
      choice.renormalize || choice.score == ScoredChoice::Score::softmax_of_chosen;
  config["decoder_sparse_step"] = 1;
  std::vector<int64_t> dense;
  for (size_t i = 0; i < model.moe.size(); ++i) {
    if (!model.moe[i]) dense.push_back(static_cast<int64_t>(i));
  }
  config["mlp_only_layers"] = dense;
  config["output_router_logits"] = false;
}

std::vector<TensorLink> links(const ModelConfig& model, const HfNaming& naming) {
  LinkList list;
  link_llama_shape(model, list);
  for (int64_t layer = 0; layer < model.layers; ++layer) {
    if (model.moe[static_cast<size_t>(layer)]) {
      link_experts(model, layer, names(), naming.fused_experts, list);
    } else {
      link_dense_layer(model, layer, list);
    }
  }
  return list.take();
}

}  // namespace

HfFamily hf_family_qwen3_moe() {
  HfFamily family;
  family.model_type = "qwen3_moe";
  family.architecture = "Qwen3MoeForCausalLM";
  family.read = read;
  family.lacks = lacks;
  family.write = write;
  family.links = links;
  family.sure_name = kEmbedding;
  return family;
}

}  // namespace troupe
