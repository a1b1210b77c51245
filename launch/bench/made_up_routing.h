// Assignments for benchmarks, where speed is to depend on the load of the experts alone.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "launch/config/run_config.h"
#include "models/engine/training_engine.h"

namespace troupe {

// routing: balanced or zipf (expert e has a share of 1 / (e + 1)), as in bench.routing. One
// assignment for every micro-batch and MoE layer of this rank's stage; empty for natural, where the
// router decides.
std::vector<std::vector<SparseAssignment>> made_up_routing(const RunConfig& config,
                                                           const std::string& routing,
                                                           TrainingEngine& engine);

}  // namespace troupe
