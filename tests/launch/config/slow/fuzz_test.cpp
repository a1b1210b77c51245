#include <fmt/core.h>
#include <gtest/gtest.h>

#include <cstdlib>

#include "tests/launch/config/support/fuzz.h"

namespace troupe {
namespace {

// TROUPE_FUZZ_CASES: how many (100,000 unless told).
TEST(Fuzz, AHundredThousandChangedFiles) {
  const char* told = std::getenv("TROUPE_FUZZ_CASES");
  const FuzzSummary summary = fuzz_configs(1'000'000, told == nullptr ? 100'000 : std::atoll(told));
  fmt::print("{} cases: {} ({:.1f} %) are YAML, {} accepted; slowest {:.0f} ms, peak {} MB\n",
             summary.cases, summary.parsed,
             100.0 * static_cast<double>(summary.parsed) / static_cast<double>(summary.cases),
             summary.accepted, summary.slowest_ms, summary.peak_bytes >> 20);
  for (const std::string& failure : summary.failures) ADD_FAILURE() << failure;
  EXPECT_GE(summary.parsed * 5, summary.cases);
  EXPECT_LT(summary.peak_bytes, int64_t{1} << 30);
}

}  // namespace
}  // namespace troupe
