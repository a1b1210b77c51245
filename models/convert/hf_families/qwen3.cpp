// Qwen3 (Yang et al. 2025), dense: Llama's shape with norms on the queries and keys of each head.
#include "models/convert/hf_families/parts/dense.h"
#include "models/convert/hf_families/parts/qwen3_shape.h"
#include "models/convert/hf_families/parts/qwen_window.h"

namespace troupe {
namespace {

ModelConfig read(HfConfigReader& config) {
  LlamaShape shape = qwen3_shape();
  shape.head_dim = 128;
  ModelConfig model = read_llama_shape(config, shape);
  read_qwen_window(config);
  return model;
}

std::vector<std::string> lacks(const ModelConfig& model) {
  std::vector<std::string> list = llama_shape_lacks(model, qwen3_shape());
  add_dense_lacks(model, false, list);
  return list;
}

void write(const ModelConfig& model, nlohmann::ordered_json& config) {
  write_llama_shape(model, qwen3_shape(), config);
  write_qwen_window(config);
}

}  // namespace

HfFamily hf_family_qwen3() {
  HfFamily family = dense_family("qwen3", "Qwen3ForCausalLM");
  family.read = read;
  family.lacks = lacks;
  family.write = write;
  return family;
}

}  // namespace troupe
