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

namespace {

using std::chrono::milliseconds;

int environment_number(const char* name) {
  const char* text = std::getenv(name);
  return text == nullptr ? 0 : std::atoi(text);
}

// How long a rank that may have failed like all others waits for its end. mpirun tells the ranks of
// its own host at once that they are to go, those of other hosts two seconds later.
milliseconds patience(int rank, Speaker speaker) {
  if (speaker == Speaker::another) return std::chrono::seconds(30);
  if (speaker == Speaker::this_rank || rank == 0) return milliseconds(0);
  const bool one_host = environment_number("OMPI_COMM_WORLD_LOCAL_SIZE") ==
                        environment_number("OMPI_COMM_WORLD_SIZE");
  return milliseconds(one_host ? 2000 : 3500) + milliseconds(50) * std::min(rank, 20);
}

}  // namespace

void report_failure(const std::string& message, Speaker speaker) {
  const int before = ending_count();
  const auto end = std::chrono::steady_clock::now() + patience(environment_rank(), speaker);
  while (std::chrono::steady_clock::now() < end) {
    if (ending_count() != before) return;
    std::this_thread::sleep_for(milliseconds(10));
  }
  log::error("{}", message);
}

}  // namespace troupe
