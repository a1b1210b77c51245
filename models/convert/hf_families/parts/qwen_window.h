// The window of attention in the classes of Qwen.
#pragma once

#include "models/convert/hf_family.h"

namespace troupe {

// A window that is on ("use_sliding_window") is not supported; files carry one that is off.
void read_qwen_window(HfConfigReader& config);
void write_qwen_window(nlohmann::ordered_json& config);

}  // namespace troupe
