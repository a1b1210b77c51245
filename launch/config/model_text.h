// A model as the sections of a configuration that say it.
#pragma once

#include <string>

#include "models/model/model_config.h"

namespace troupe {

// YAML of `model` and, with experts, `moe`; the layers with experts must be alike. Loads back to
// the same model.
std::string model_text(const ModelConfig& model);

}  // namespace troupe
