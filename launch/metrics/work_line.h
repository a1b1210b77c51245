// How far a long piece of work is: one line that is redrawn on a terminal, a line every ten seconds
// elsewhere, nothing for work that is over sooner.
#pragma once

#include <chrono>
#include <cstdio>
#include <string>

namespace troupe {

class WorkLine {
 public:
  using Clock = std::chrono::steady_clock;
  // live: whether `out` is a terminal (Progress::live_on).
  WorkLine(std::FILE* out, bool live, Clock::time_point start = Clock::now());
  // Wipes the redrawn line.
  ~WorkLine();
  WorkLine(const WorkLine&) = delete;
  WorkLine& operator=(const WorkLine&) = delete;

  // "WHAT 34 % of OF, 12 s left": done of total units.
  void show(const std::string& what, const std::string& of, int64_t done, int64_t total,
            Clock::time_point now = Clock::now());

 private:
  std::FILE* out_;
  bool live_;
  bool shown_ = false;
  Clock::time_point start_;
  Clock::time_point last_;
};

}  // namespace troupe
