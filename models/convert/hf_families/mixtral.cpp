// Mixtral (Jiang et al. 2024): Mistral with experts in every layer, whose chosen weights sum to 1.
#include "models/convert/hf_families/parts/experts.h"

namespace troupe {
namespace {

constexpr LlamaShape shape() {
  LlamaShape out;
  out.norm_eps = 1e-5;
  out.rope_theta = 1e6;
  out.max_positions = 131072;
  return out;
}

const ExpertNames& names() {
  static const ExpertNames names{"block_sparse_moe.gate.weight",
                                 "block_sparse_moe.experts.",
                                 "w1",
                                 "w3",
                                 "w2",
                                 "mlp.gate.weight",
                                 "mlp.experts."};
  return names;
}

ModelConfig read(HfConfigReader& config) {
  ModelConfig model = read_llama_shape(config, shape());
  if (config.has("sliding_window")) model.window = config.size({"sliding_window"}, kMostPositions);
  check_layer_types(config, model.window != 0);
  read_router_training(config);
  ScoredChoice choice;
  choice.top_k = config.integer({"num_experts_per_tok"}, 2);
  const int64_t experts = config.integer({"num_local_experts", "num_experts"}, 8);
  const MoEConfig moe = read_experts(config, experts, model.ffn_dim, choice);
  model.moe.assign(model.moe.size(), moe);
  return model;
}

std::vector<std::string> lacks(const ModelConfig& model) {
  std::vector<std::string> list = llama_shape_lacks(model, shape());
  add_expert_lacks(
      model,
      [](const ScoredChoice& choice) -> std::string {
        if (choice.scale != 1.0) return "a factor on the weights of experts";
        // A softmax over the chosen logits is the softmax over all, divided by the sum of the
        // chosen.
        const bool sums_to_one =
            choice.score == ScoredChoice::Score::softmax_of_chosen ||
            (choice.score == ScoredChoice::Score::softmax && choice.renormalize);
        return sums_to_one ? "" : "weights of experts that do not sum to 1";
      },
      list);
  if (std::any_of(model.moe.begin(), model.moe.end(), [](const auto& moe) { return !moe; }))
    list.push_back("layers without experts");
  return list;
}

void write(const ModelConfig& model, nlohmann::ordered_json& config) {
  const MoEConfig& moe = *common_experts(model);
  write_llama_shape(model, shape(), config);
  config["intermediate_size"] = moe.ffn_dim;
  config["num_local_experts"] = moe.experts;
  config["num_experts_per_tok"] = choice_of(moe)->top_k;
  config["output_router_logits"] = false;
  config["router_jitter_noise"] = 0.0;
  config["sliding_window"] =
      model.window == 0 ? nlohmann::ordered_json() : nlohmann::ordered_json(model.window);
}

std::vector<TensorLink> links(const ModelConfig& model, const HfNaming& naming) {
  LinkList list;
  link_llama_shape(model, list);
  for (int64_t layer = 0; layer < model.layers; ++layer)
    link_experts(model, layer, names(), naming.fused_experts, list);
  return list.take();
}

}  // namespace

HfFamily hf_family_mixtral() {
  HfFamily family;
  family.model_type = "mixtral";
  family.architecture = "MixtralForCausalLM";
  family.read = read;
  family.lacks = lacks;
  family.write = write;
  family.links = links;
  family.sure_name = kEmbedding;
  return family;
}

}  // namespace troupe
