#include "tests/parallel/checkpoint/support/fuzz.h"

#include <gtest/gtest.h>

namespace troupe {
namespace {

TEST(CheckpointFuzz, FiveHundredMutants) {
  test::FuzzCounts counts;
  EXPECT_EQ(test::run_fuzz(0, 500, counts), "");
  EXPECT_GE(counts.passed_first_check, 100);
  EXPECT_GT(counts.passed_verify, 0);
  EXPECT_GT(counts.loaded, 0);
  EXPECT_LT(counts.loaded, counts.passed_first_check);
}

TEST(CheckpointFuzz, TheOriginalIsGood) {
  const std::string original = test::fuzz_original();
  int same = 0;
  for (uint64_t i = 0; i < 200; ++i) same += test::mutant(original, i) == original ? 1 : 0;
  EXPECT_LT(same, 30) << "mutants that are no mutants";
}

}  // namespace
}  // namespace troupe
