// What a configured run is taken to cost by.
#pragma once

#include "launch/config/run_config.h"
#include "models/cost/cost_inputs.h"

namespace troupe {

CostInputs cost_inputs(const RunConfig& config);

}  // namespace troupe
