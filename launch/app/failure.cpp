#include "launch/app/failure.h"

#include <algorithm>
#include <chrono>
#include <cstdlib>
#include <thread>

#include "core/base/log.h"
#include "launch/job/stop_request.h"

namespace troupe {

int environment_rank() {
  for (const char* name : {"OMPI_COMM_WORLD_RANK", "PMIX_RANK", "PMI_RANK"}) {
    if (const char* text = std::getenv(name); text != nullptr && *text != '\0') {
      return std::max(0, std::atoi(text));
    }
  }
  return 0;
}

void report_failure(const std::string& message) {
  const int rank = environment_rank();
  if (rank > 0) {
    // mpirun ends the other ranks some milliseconds after the first that fails: by a signal, which
    // sets the flag of stop_request.h or ends this process.
    const auto end = std::chrono::steady_clock::now() + std::chrono::milliseconds(1000) +
                     std::chrono::milliseconds(50) * std::min(rank, 20);
    while (std::chrono::steady_clock::now() < end) {
      if (stop_requested()) return;
      std::this_thread::sleep_for(std::chrono::milliseconds(10));
    }
  }
  log::error("{}", message);
}

}  // namespace troupe
