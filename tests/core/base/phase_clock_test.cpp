#include "core/base/phase_clock.h"

#include <gtest/gtest.h>

#include <thread>

namespace troupe {
namespace {

double of(const PhaseClock& clock, Phase phase) {
  return clock.milliseconds()[static_cast<size_t>(phase)];
}

TEST(PhaseClock, NestedScopesTakeTheirTimeOut) {
  PhaseClock clock;
  const auto nap = [] { std::this_thread::sleep_for(std::chrono::milliseconds(20)); };
  const auto start = std::chrono::steady_clock::now();
  {
    PhaseScope forward(&clock, Phase::forward);
    {
      PhaseScope comm(&clock, Phase::comm);
      nap();
    }
  }
  EXPECT_GE(of(clock, Phase::comm), 20);
  const double all =
      std::chrono::duration<double, std::milli>(std::chrono::steady_clock::now() - start).count();
  EXPECT_LE(of(clock, Phase::forward) + of(clock, Phase::comm), all);  // nothing is counted twice
  clock.reset();
  EXPECT_EQ(of(clock, Phase::comm), 0);
  PhaseScope none(nullptr, Phase::comm);  // a null clock does nothing
}

}  // namespace
}  // namespace troupe
