// Refuses a run that cannot fit, before anything is allocated.
#pragma once

#include <cstdint>

#include "launch/app/rank_runtime.h"
#include "launch/config/run_config.h"

namespace troupe {

// Estimated bytes of the heaviest rank. Throws Error(resource) with the numbers and what would help
// when the ranks of this machine together need more than it has. model.vocab must be resolved.
int64_t check_memory(const RunConfig& config, const RankRuntime& runtime);

// Physical memory of this machine, or less where a control group allows less; 0 = unknown.
int64_t machine_memory();

}  // namespace troupe
