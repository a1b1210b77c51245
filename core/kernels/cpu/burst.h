// A short piece of work of known size, timed again and again: what else the machine does hardly
// meets all of its runs.
#pragma once

#include <chrono>
#include <functional>

namespace troupe::kernels::cpu {

struct Burst {
  double flops = 0;
  std::function<void()> run;
};

inline double seconds_of(const Burst& burst) {
  const auto begin = std::chrono::steady_clock::now();
  burst.run();
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
}

// FLOPs per second of the fastest of `times` runs.
inline double best_rate(const Burst& burst, int times) {
  double best = 0;
  for (int i = 0; i < times; ++i) {
    const double rate = burst.flops / seconds_of(burst);
    if (rate > best) best = rate;
  }
  return best;
}

}  // namespace troupe::kernels::cpu
