// From values to the structs of a RunConfig: the rows of the schema store them, and what follows
// from several of them is put in here.
#pragma once

#include "launch/config/run_config.h"

namespace troupe {

// world: number of ranks; the values must hold every key. Words such as `auto` are resolved. Where
// a rule cannot be applied (dim not divisible by heads, ...) a harmless value is put in: problems()
// reports it.
RunConfig build_config(ConfigValues values, int world);

// The layers with experts, as asked for (numbers may lie outside the model).
std::vector<int64_t> moe_layer_numbers(const RunConfig& config);

}  // namespace troupe
