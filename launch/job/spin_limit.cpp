#include "launch/job/spin_limit.h"

#include <limits.h>
#include <sched.h>
#include <signal.h>
#include <unistd.h>

#include <array>
#include <cstdlib>

#include "launch/job/stop_request.h"

namespace troupe {
namespace {

constexpr int kMostCores = 16;
constexpr const char* kSpins = "2000";  // about 30 us

bool many_cores() {
  cpu_set_t mask;
  return sched_getaffinity(0, sizeof(mask), &mask) != 0 || CPU_COUNT(&mask) > kMostCores;
}

}  // namespace

void limit_spinning(char** argv) {
  if (std::getenv("GOMP_SPINCOUNT") != nullptr || std::getenv("OMP_WAIT_POLICY") != nullptr ||
      many_cores()) {
    return;
  }
  // By its path: the process keeps its name.
  std::array<char, PATH_MAX> program{};
  if (readlink("/proc/self/exe", program.data(), program.size() - 1) <= 0) return;
  setenv("GOMP_SPINCOUNT", kSpins, 1);
  hold_stop_signals();
  execv(program.data(), argv);
}

}  // namespace troupe
