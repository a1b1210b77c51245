// How a waiting rank spends its time: spins, then yields its core, then naps.
#pragma once

#include <chrono>

namespace troupe {

class Backoff {
 public:
  explicit Backoff(bool may_spin) : spins_left_(may_spin ? 200 : 0) {}
  void pause();
  // Time since the first yield, measured only then; zero while spinning.
  std::chrono::steady_clock::duration waited() const { return waited_; }

 private:
  int spins_left_;
  int yields_ = 0;
  std::chrono::steady_clock::time_point started_{};
  std::chrono::steady_clock::duration waited_{};
};

}  // namespace troupe
