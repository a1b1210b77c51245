// Runs a test body with every vector width that this processor has.
#pragma once

#include <gtest/gtest.h>
#include <hwy/targets.h>

#include <vector>

namespace troupe::testing {

template <typename F>
void with_every_width(F f) {
  for (const int64_t target : hwy::SupportedAndGeneratedTargets()) {
    if (target > HWY_AVX2) continue;  // narrower than the baseline: made for no kernel
    SCOPED_TRACE(hwy::TargetName(target));
    hwy::SetSupportedTargetsForTest(target);
    f();
  }
  hwy::SetSupportedTargetsForTest(0);
}

}  // namespace troupe::testing
