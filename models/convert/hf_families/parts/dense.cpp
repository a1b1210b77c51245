#include "models/convert/hf_families/parts/dense.h"

#include <algorithm>

namespace troupe {
namespace {

std::vector<TensorLink> link_dense_model(const ModelConfig& model, const HfNaming&) {
  LinkList links;
  link_llama_shape(model, links);
  for (int64_t layer = 0; layer < model.layers; ++layer) link_dense_layer(model, layer, links);
  return links.take();
}

}  // namespace

HfFamily dense_family(const std::string& model_type, const std::string& architecture) {
  HfFamily family;
  family.model_type = model_type;
  family.architecture = architecture;
  family.links = link_dense_model;
  family.sure_name = kEmbedding;
  return family;
}

void add_dense_lacks(const ModelConfig& model, bool has_window, std::vector<std::string>& list) {
  if (std::any_of(model.moe.begin(), model.moe.end(), [](const auto& moe) { return !!moe; }))
    list.push_back("experts");
  if (model.window != 0 && !has_window) list.push_back("a window of attention");
}

}  // namespace troupe
