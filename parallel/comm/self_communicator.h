// The group of one rank alone: a run without mpirun.
#pragma once

#include <memory>

#include "parallel/comm/communicator.h"
#include "parallel/comm/options.h"

namespace troupe {

std::shared_ptr<Communicator> self_communicator(const CommOptions& options = {});

}  // namespace troupe
