// Ranks as threads of this process: the same collectives, deadlines and failures as under mpirun,
// under a debugger or a sanitizer.
#pragma once

#include <functional>
#include <memory>

#include "parallel/comm/communicator.h"
#include "parallel/comm/options.h"

namespace troupe {

// Runs f(rank, world communicator) on `ranks` threads and joins them all. When a rank throws, the
// waits of the others throw "rank N failed: ..."; here the exception of the rank that failed first
// is thrown again.
void run_ranks(int ranks, const std::function<void(int, std::shared_ptr<Communicator>)>& f,
               const CommOptions& options = {});

}  // namespace troupe
