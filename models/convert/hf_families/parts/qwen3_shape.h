// What the dense and the sparse class of Qwen3 have in common.
#pragma once

#include "models/convert/hf_families/parts/llama_shape.h"

namespace troupe {

LlamaShape qwen3_shape();

}  // namespace troupe
