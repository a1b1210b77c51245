// What the dense and the sparse class of Qwen3 have in common.
#pragma once

#include "models/convert/hf_families/parts/llama_shape.h"

namespace troupe {

LlamaShape qwen3_shape();
// A window that is on ("use_sliding_window") is not supported; files carry one that is off.
void read_qwen_window(HfConfigReader& config);
void write_qwen_window(nlohmann::ordered_json& config);

}  // namespace troupe
