// The engine's part of a configuration.
#pragma once

#include "launch/config/run_config.h"
#include "models/engine/training_engine.h"

namespace troupe {

EngineConfig engine_config(const RunConfig& config);

}  // namespace troupe
