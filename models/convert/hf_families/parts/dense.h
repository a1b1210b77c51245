// Models of Llama's shape without experts.
#pragma once

#include <string>
#include <vector>

#include "models/convert/hf_families/parts/llama_shape.h"

namespace troupe {

// A class whose tensors are those of the shape; read, lacks and write are its own.
HfFamily dense_family(const std::string& model_type, const std::string& architecture);

// Experts; a window, unless the class has them.
void add_dense_lacks(const ModelConfig& model, bool has_window, std::vector<std::string>& list);

}  // namespace troupe
