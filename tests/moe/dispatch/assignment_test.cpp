#include "moe/dispatch/assignment.h"

#include <gtest/gtest.h>

#include "core/base/error.h"
#include "core/base/random.h"

namespace troupe {
namespace {

SparseAssignment random_assignment(uint64_t key, int64_t tokens, int64_t experts) {
  const Random random(key, "test assignment");
  SparseAssignment out = empty_assignment(experts);
  uint64_t draw = 0;
  for (int64_t t = 0; t < tokens; ++t) {
    std::vector<int32_t> chosen;
    for (int32_t e = 0; e < experts; ++e) {
      if (random.below(draw++, 3) == 0) chosen.push_back(e);
    }
    out.append(chosen);
  }
  for (size_t i = 0; i < out.kept.size(); ++i) out.kept[i] = random.below(draw++, 4) != 0;
  return out;
}

TEST(SparseAssignment, CountsPairsFirstChoicesAndDrops) {
  SparseAssignment a = empty_assignment(3);
  a.append(std::vector<int32_t>{2, 0});
  a.append({});
  a.append(std::vector<int32_t>{2, 1});
  a.kept[2] = 0;
  a.check();
  EXPECT_EQ(a.selected_counts(), (std::vector<int64_t>{1, 1, 2}));
  EXPECT_EQ(a.kept_counts(), (std::vector<int64_t>{1, 1, 1}));
  EXPECT_EQ(a.first_counts(), (std::vector<int64_t>{0, 0, 2}));
  EXPECT_EQ(a.pair_tokens(), (std::vector<int32_t>{0, 0, 2, 2}));
}

TEST(SparseAssignment, BytesAndSlicesGiveItBack) {
  for (uint64_t key = 0; key < 200; ++key) {
    const Random random(key, "sizes");
    const SparseAssignment a = random_assignment(key, static_cast<int64_t>(random.below(0, 9)),
                                                 1 + static_cast<int64_t>(random.below(1, 6)));
    EXPECT_TRUE(assignment_from_bytes(to_bytes(a)).same_routing(a));
    const auto cut = static_cast<int64_t>(random.below(2, static_cast<uint64_t>(a.tokens) + 1));
    const SparseAssignment parts[] = {slice_tokens(a, 0, cut), slice_tokens(a, cut, a.tokens)};
    EXPECT_TRUE(join_tokens(parts).same_routing(a));
  }
}

// Any changed byte gives either another valid assignment or a clear refusal, never a crash.
TEST(SparseAssignment, SpoiltBytesAreRefused) {
  const SparseAssignment a = random_assignment(1, 6, 4);
  const std::vector<uint8_t> good = to_bytes(a);
  int refused = 0;
  for (size_t i = 0; i < good.size(); ++i) {
    std::vector<uint8_t> bytes = good;
    bytes[i] ^= 0xff;
    try {
      assignment_from_bytes(bytes).check();
    } catch (const Error& error) {
      EXPECT_EQ(error.code(), ExitCode::checkpoint);
      ++refused;
    }
    EXPECT_THROW(assignment_from_bytes(std::span(good).first(i)), Error);
  }
  EXPECT_GT(refused, static_cast<int>(good.size()) / 2);
}

TEST(SparseAssignment, CheckFindsAnExpertTwiceInAToken) {
  SparseAssignment a = empty_assignment(3);
  a.append(std::vector<int32_t>{1, 1});
  EXPECT_THROW(a.check(), Error);
  SparseAssignment b = empty_assignment(3);
  b.append(std::vector<int32_t>{3});
  EXPECT_THROW(b.check(), Error);
}

TEST(SparseAssignment, SyntheticRoutingIsBalancedOrSkewed) {
  const SparseAssignment even = synthetic_assignment(SyntheticRouting::balanced, 12, 8, 2, 1);
  even.check();
  EXPECT_EQ(even.selected_counts(), std::vector<int64_t>(8, 3));
  const SparseAssignment skewed = synthetic_assignment(SyntheticRouting::zipf, 1000, 8, 2, 1);
  skewed.check();
  const std::vector<int64_t> counts = skewed.selected_counts();
  EXPECT_GT(counts[0], 2 * counts[3]);
  EXPECT_GT(counts[7], 0);
}

}  // namespace
}  // namespace troupe
