// A model as the sections of a configuration that say it.
#pragma once

#include <string>

#include "models/model/model_config.h"

namespace troupe {

// YAML of `model` and, with experts, `moe`, for what other programs say of a model: the layers with
// experts are alike, dropless and without balance terms. Loads back to the same model.
std::string model_text(const ModelConfig& model);

}  // namespace troupe
