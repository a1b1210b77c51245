// Errors that end a job: each carries the exit code it must end with and how to mend it.
#pragma once

#include <fmt/core.h>

#include <stdexcept>
#include <string>
#include <utility>

namespace troupe {

// The documented exit codes of the program (README, "Exit codes").
enum class ExitCode : int {
  ok = 0,
  internal = 1,      // a bug in Troupe
  usage = 2,         // arguments, configuration, world size
  data = 3,          // data or tokenizer
  checkpoint = 4,    // a checkpoint that cannot be used
  resource = 5,      // memory, disk, directories, processor
  numbers = 6,       // NaN or infinity
  distributed = 7,   // a lost or silent rank
  verification = 8,  // selftest, verify or ckpt diff found a difference
  interrupted = 75,  // stopped on request, state saved
};

class Error : public std::runtime_error {
 public:
  Error(ExitCode code, const std::string& message) : std::runtime_error(message), code_(code) {}
  ExitCode code() const { return code_; }

 private:
  ExitCode code_;
};

// Throws Error(code) with a formatted message: what is wrong, with its value and place, then the
// fix.
template <typename... Args>
[[noreturn]] void fail(ExitCode code, fmt::format_string<Args...> format, Args&&... args) {
  throw Error(code, fmt::format(format, std::forward<Args>(args)...));
}

// Checks a condition that only a bug in Troupe can break.
template <typename... Args>
void require(bool condition, fmt::format_string<Args...> format, Args&&... args) {
  if (!condition) fail(ExitCode::internal, format, std::forward<Args>(args)...);
}

}  // namespace troupe
