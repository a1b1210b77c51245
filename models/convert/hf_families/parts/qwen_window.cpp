#include "models/convert/hf_families/parts/qwen_window.h"

#include "models/convert/hf_families/parts/llama_shape.h"

namespace troupe {

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
