// Relations between values: everything that one key alone cannot tell.
#pragma once

#include <string>
#include <vector>

#include "launch/config/load.h"
#include "launch/config/run_config.h"

namespace troupe {

// Every problem of a configuration whose single values are sound, each with its arithmetic and the
// nearest legal value. world: number of ranks of the job.
std::vector<Problem> problems(const RunConfig& config, int world, Purpose purpose = Purpose::train);

// What is legal but probably not meant.
std::vector<std::string> warnings(const RunConfig& config);

}  // namespace troupe
