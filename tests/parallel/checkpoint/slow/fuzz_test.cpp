// 100,000 mutated checkpoint files, in batches that each have a process of their own.
#include "tests/parallel/checkpoint/support/fuzz.h"

#include <fmt/core.h>
#include <gtest/gtest.h>

namespace troupe {
namespace {

void hundred_thousand(test::FuzzKind kind, const char* what) {
  constexpr uint64_t kAll = 100'000;
  constexpr uint64_t kBatch = 5'000;
  test::FuzzCounts counts;
  for (uint64_t begin = 0; begin < kAll; begin += kBatch) {
    ASSERT_EQ(test::run_fuzz(kind, begin, begin + kBatch, counts), "");
  }
  fmt::print("{}: {} mutants, {:.1f} % pass the first check, {:.1f} % verify, {:.1f} % load\n",
             what, kAll, 100.0 * static_cast<double>(counts.passed_first_check) / kAll,
             100.0 * static_cast<double>(counts.passed_verify) / kAll,
             100.0 * static_cast<double>(counts.loaded) / kAll);
  EXPECT_GE(counts.passed_first_check, static_cast<int64_t>(kAll / 5));
}

TEST(CheckpointFuzzSlow, HundredThousandMutants) {
  hundred_thousand(test::FuzzKind::file, "checkpoint files");
}

TEST(CheckpointFuzzSlow, HundredThousandMutantsOfSeveralFiles) {
  hundred_thousand(test::FuzzKind::shards, "manifests and shards");
}

}  // namespace
}  // namespace troupe
