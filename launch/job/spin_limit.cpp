#include "launch/job/spin_limit.h"

#include <limits.h>
#include <unistd.h>

#include <array>
#include <cstdlib>

#include "core/base/usable_cores.h"
#include "launch/job/stop_request.h"

namespace troupe {
namespace {

constexpr int kMostCores = 16;
constexpr const char* kSpins = "2000";  // about 30 us

}  // namespace

void limit_spinning(char** argv) {
  if (std::getenv("GOMP_SPINCOUNT") != nullptr || std::getenv("OMP_WAIT_POLICY") != nullptr ||
      usable_cores() > kMostCores) {
    return;
  }
  // By its path: the process keeps its name.
  std::array<char, PATH_MAX> program{};
  if (readlink("/proc/self/exe", program.data(), program.size() - 1) <= 0) return;
  if (setenv("GOMP_SPINCOUNT", kSpins, 1) != 0) return;  // it would start again for ever
  hold_stop_signals();
  execv(program.data(), argv);
}

}  // namespace troupe
