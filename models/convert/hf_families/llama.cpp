// Llama (Touvron et al. 2023) and the many models of its shape.
#include "models/convert/hf_families/parts/dense.h"

namespace troupe {
namespace {

constexpr LlamaShape shape() {
  LlamaShape out;
  out.has_biases = true;
  out.has_mlp_bias = true;
  return out;
}

ModelConfig read(HfConfigReader& config) { return read_llama_shape(config, shape()); }

std::vector<std::string> lacks(const ModelConfig& model) {
  std::vector<std::string> list = llama_shape_lacks(model, shape());
  add_dense_lacks(model, false, list);
  return list;
}

void write(const ModelConfig& model, nlohmann::ordered_json& config) {
  write_llama_shape(model, shape(), config);
}

}  // namespace

HfFamily hf_family_llama() {
  HfFamily family = dense_family("llama", "LlamaForCausalLM");
  family.read = read;
  family.lacks = lacks;
  family.write = write;
  return family;
}

}  // namespace troupe
