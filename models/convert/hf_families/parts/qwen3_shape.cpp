#include "models/convert/hf_families/parts/qwen3_shape.h"

namespace troupe {

LlamaShape qwen3_shape() {
  LlamaShape out;
  out.max_positions = 32768;
  out.qk_norm = true;
  out.has_biases = true;
  return out;
}

void read_qwen_window(HfConfigReader& config) {
  if (config.boolean({"use_sliding_window"}, false))
    config.unsupported(config.shown("use_sliding_window") + ": a window on some layers only");
  config.pass_over({"sliding_window", "max_window_layers"});
  check_layer_types(config, false);
}

void write_qwen_window(nlohmann::ordered_json& config) {
  config["use_sliding_window"] = false;
  config["sliding_window"] = nullptr;
}

}  // namespace troupe
