// Qwen2 (Yang et al. 2024), dense: Llama's shape with biases on queries, keys and values.
#include "models/convert/hf_families/parts/dense.h"
#include "models/convert/hf_families/parts/qwen_window.h"

namespace troupe {
namespace {

constexpr LlamaShape shape() {
  LlamaShape out;
  out.max_positions = 32768;
  out.always_biases = true;
  return out;
}

ModelConfig read(HfConfigReader& config) {
  ModelConfig model = read_llama_shape(config, shape());
  read_qwen_window(config);
  return model;
}

std::vector<std::string> lacks(const ModelConfig& model) {
  std::vector<std::string> list = llama_shape_lacks(model, shape());
  add_dense_lacks(model, false, list);
  return list;
}

void write(const ModelConfig& model, nlohmann::ordered_json& config) {
  write_llama_shape(model, shape(), config);
  write_qwen_window(config);
}

}  // namespace

HfFamily hf_family_qwen2() {
  HfFamily family = dense_family("qwen2", "Qwen2ForCausalLM");
  family.read = read;
  family.lacks = lacks;
  family.write = write;
  return family;
}

}  // namespace troupe
