// Models of Llama's shape without experts.
#pragma once

#include <string>
#include <vector>

#include "models/convert/hf_families/parts/llama_shape.h"

namespace troupe {

std::vector<TensorLink> link_dense_model(const ModelConfig& model, const HfNaming& naming);

// Experts; a window, unless the class has them.
void add_dense_lacks(const ModelConfig& model, bool has_window, std::vector<std::string>& list);

}  // namespace troupe
