#include "models/convert/hf_families/parts/qwen3_shape.h"

namespace troupe {

LlamaShape qwen3_shape() {
  LlamaShape out;
  out.max_positions = 32768;
  out.qk_norm = true;
  out.has_biases = true;
  return out;
}

}  // namespace troupe
