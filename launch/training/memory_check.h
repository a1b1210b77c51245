// Refuses a run that cannot fit, before anything is allocated.
#pragma once

#include <cstdint>
#include <string>

#include "launch/config/run_config.h"
#include "launch/training/rank_runtime.h"

namespace troupe {

// Estimated bytes of the heaviest rank. Throws Error(resource) with the numbers and what would help
// when the ranks of this machine together need more than it has. model.vocab must be resolved.
int64_t check_memory(const RunConfig& config, const RankRuntime& runtime);
// The same for local_ranks ranks of `threads` threads on this machine.
int64_t check_memory(const RunConfig& config, int threads, int local_ranks);

// Physical memory of this machine, or less where a control group allows less; 0 = unknown.
int64_t machine_memory();

// The smallest memory limit of this process's control groups (version 1 or 2) and of those above
// them; 0 = none. root: where /proc and /sys are found.
int64_t group_memory_limit(const std::string& root = "");

}  // namespace troupe
