#include "launch/job/spin_limit.h"

#include <limits.h>
#include <unistd.h>

#include <array>
#include <cstdlib>
#include <cstring>

#include "core/base/usable_cores.h"
#include "launch/job/stop_request.h"

namespace troupe {
namespace {

constexpr int kMostCores = 16;
constexpr const char* kName = "GOMP_SPINCOUNT";
char kSpins[] = "3000";  // about 45 us

bool answered = false;  // libgomp was told the limit

// What the environment says; null where it says nothing.
char* in_environment(const char* name) {
  const size_t length = std::strlen(name);
  for (char** entry = environ; entry != nullptr && *entry != nullptr; ++entry) {
    if (std::strncmp(*entry, name, length) == 0 && (*entry)[length] == '=') {
      return *entry + length + 1;
    }
  }
  return nullptr;
}

bool limit_wanted() {
  return in_environment(kName) == nullptr && in_environment("OMP_WAIT_POLICY") == nullptr &&
         usable_cores() <= kMostCores;
}

}  // namespace

void limit_spinning(char** argv) {
  if (answered || !limit_wanted()) return;
  // By its path: the process keeps its name.
  std::array<char, PATH_MAX> program{};
  if (readlink("/proc/self/exe", program.data(), program.size() - 1) <= 0) return;
  if (setenv(kName, kSpins, 1) != 0) return;  // it would start again for ever
  hold_stop_signals();
  execv(program.data(), argv);
}

}  // namespace troupe

// In place of libc's, for all libraries of the program: the same but for GOMP_SPINCOUNT.
extern "C" char* getenv(const char* name) noexcept {
  if (std::strcmp(name, troupe::kName) == 0 && troupe::limit_wanted()) {
    troupe::answered = true;
    return troupe::kSpins;
  }
  return troupe::in_environment(name);
}
