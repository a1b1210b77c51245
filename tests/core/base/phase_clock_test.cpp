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
  {
    PhaseScope forward(&clock, Phase::forward);
    {
      PhaseScope comm(&clock, Phase::comm);
      nap();
    }
  }
  EXPECT_GE(of(clock, Phase::comm), 20);
  EXPECT_LT(of(clock, Phase::forward), of(clock, Phase::comm));
  clock.reset();
  EXPECT_EQ(of(clock, Phase::comm), 0);
  PhaseScope none(nullptr, Phase::comm);  // a null clock does nothing
}

}  // namespace
}  // namespace troupe
