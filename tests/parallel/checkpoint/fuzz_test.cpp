#include "tests/parallel/checkpoint/support/fuzz.h"

#include <gtest/gtest.h>

#include "tests/core/io/temporary_directory.h"
#include "tests/parallel/checkpoint/support/mutate.h"

namespace troupe {
namespace {

class CheckpointFuzz : public testing::TestWithParam<test::FuzzKind> {};

TEST_P(CheckpointFuzz, FiveHundredMutants) {
  test::FuzzCounts counts;
  EXPECT_EQ(test::run_fuzz(GetParam(), 0, 500, counts), "");
  EXPECT_GE(counts.passed_first_check, 100);
  EXPECT_GT(counts.passed_verify, 0);
  EXPECT_GT(counts.loaded, 0);
  EXPECT_LT(counts.loaded, counts.passed_first_check);
}

INSTANTIATE_TEST_SUITE_P(Kinds, CheckpointFuzz,
                         testing::Values(test::FuzzKind::file, test::FuzzKind::shards),
                         [](const auto& info) {
                           return info.param == test::FuzzKind::file ? "File" : "Shards";
                         });

TEST(CheckpointMutants, MostAreNotTheOriginal) {
  const std::string original = test::fuzz_original();
  int same = 0;
  for (uint64_t i = 0; i < 200; ++i) same += test::mutant(original, i) == original ? 1 : 0;
  EXPECT_LT(same, 30) << "mutants that are no mutants";
  const test::TemporaryDirectory dir;
  const test::ShardedBytes shards = test::fuzz_shards(dir.path(), 7);
  const test::ShardedBytes other = test::fuzz_shards(dir.path(), 1);
  same = 0;
  for (uint64_t i = 0; i < 200; ++i) {
    const test::ShardedBytes one = test::shard_mutant(shards, other, i);
    same += one.manifest == shards.manifest && one.shards == shards.shards ? 1 : 0;
  }
  EXPECT_LT(same, 30) << "mutants that are no mutants";
}

}  // namespace
}  // namespace troupe
