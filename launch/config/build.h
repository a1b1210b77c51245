// From values to the structs of a RunConfig; words such as `auto` are resolved here.
#pragma once

#include "launch/config/run_config.h"

namespace troupe {

// world: number of ranks; the values must hold every key. Where a rule cannot be applied (dim not
// divisible by heads, ...) a harmless value is put in: problems() reports it.
RunConfig build_config(ConfigValues values, int world);

// The layers with experts under `moe.layers`, as asked for (numbers may lie outside the model).
std::vector<int64_t> moe_layer_numbers(const ConfigValues& values, int64_t layers);

}  // namespace troupe
