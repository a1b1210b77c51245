// Mistral (Jiang et al. 2023): Llama's shape with a window on every layer, or none.
#include "models/convert/hf_families/parts/dense.h"

namespace troupe {
namespace {

// Of the class where the key is missing; null says that there is no window.
constexpr int64_t kUsualWindow = 4096;

constexpr LlamaShape shape() {
  LlamaShape out;
  out.max_positions = 131072;
  return out;
}

ModelConfig read(HfConfigReader& config) {
  ModelConfig model = read_llama_shape(config, shape());
  model.window = config.states_null("sliding_window")
                     ? 0
                     : config.size({"sliding_window"}, kMostPositions, kUsualWindow);
  check_layer_types(config, model.window != 0);
  return model;
}

std::vector<std::string> lacks(const ModelConfig& model) {
  std::vector<std::string> list = llama_shape_lacks(model, shape());
  add_dense_lacks(model, true, list);
  return list;
}

void write(const ModelConfig& model, nlohmann::ordered_json& config) {
  write_llama_shape(model, shape(), config);
  config["sliding_window"] =
      model.window == 0 ? nlohmann::ordered_json() : nlohmann::ordered_json(model.window);
}

}  // namespace

HfFamily hf_family_mistral() {
  HfFamily family = dense_family("mistral", "MistralForCausalLM");
  family.read = read;
  family.lacks = lacks;
  family.write = write;
  return family;
}

}  // namespace troupe
