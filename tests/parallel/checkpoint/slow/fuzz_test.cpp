// 100,000 mutated checkpoint files, in batches that each have a process of their own.
#include "tests/parallel/checkpoint/support/fuzz.h"

#include <fmt/core.h>
#include <gtest/gtest.h>

namespace troupe {
namespace {

TEST(CheckpointFuzzSlow, HundredThousandMutants) {
  constexpr uint64_t kAll = 100'000;
  constexpr uint64_t kBatch = 5'000;
  test::FuzzCounts counts;
  for (uint64_t begin = 0; begin < kAll; begin += kBatch) {
    ASSERT_EQ(test::run_fuzz(begin, begin + kBatch, counts), "");
  }
  fmt::print(
      "checkpoint files: {} mutants, {:.1f} % pass the first check, {:.1f} % verify, "
      "{:.1f} % load\n",
      kAll, 100.0 * static_cast<double>(counts.passed_first_check) / kAll,
      100.0 * static_cast<double>(counts.passed_verify) / kAll,
      100.0 * static_cast<double>(counts.loaded) / kAll);
  EXPECT_GE(counts.passed_first_check, static_cast<int64_t>(kAll / 5));
}

}  // namespace
}  // namespace troupe
