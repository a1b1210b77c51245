#include "moe/dispatch/capacity.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>

#include "core/base/random.h"
#include "tests/moe/support.h"

namespace troupe {
namespace {

using testing::whole_batch;

// Rounded up, never below the minimum.
TEST(Capacity, Formula) {
  EXPECT_EQ(capacity(2, 10, 1.0, 8, 1), 3);   // 2.5
  EXPECT_EQ(capacity(1, 16, 1.25, 8, 1), 3);  // 2.5
  EXPECT_EQ(capacity(1, 10, 1.1, 1, 1), 11);  // 11.000000000000002 in doubles
  EXPECT_EQ(capacity(2, 1, 1.0, 8, 4), 4);
  EXPECT_EQ(capacity(2, 0, 1.0, 8, 4), 4);
  EXPECT_GT(capacity(2, 4, std::numeric_limits<double>::infinity(), 8, 4), 8);
  for (int64_t tokens = 0; tokens < 40; ++tokens) {
    for (int64_t experts = 1; experts < 9; ++experts) {
      const int64_t c = capacity(2, tokens, 1.0, experts, 1);
      EXPECT_GE(c * experts, 2 * tokens);
      if (c > 1) {
        EXPECT_LT((c - 1) * experts, 2 * tokens);
      }
    }
  }
}

SparseAssignment to_one_expert(int64_t tokens, int64_t experts, int32_t expert) {
  SparseAssignment a = empty_assignment(experts);
  for (int64_t t = 0; t < tokens; ++t) a.append(std::span(&expert, 1));
  return a;
}

TEST(Capacity, PositionPriorityKeepsTheFirst) {
  const Groups groups = make_groups({}, whole_batch(2, 4));
  SparseAssignment a = to_one_expert(8, 4, 1);
  apply_capacity({2.0, 1, Priority::position, 1, false}, groups, {}, a);
  EXPECT_EQ(a.kept, (std::vector<uint8_t>{1, 1, 0, 0, 1, 1, 0, 0}));
}

TEST(Capacity, GatePriorityKeepsTheHeaviestAndTheEarlierOfEquals) {
  const Groups groups = make_groups({}, whole_batch(1, 5));
  SparseAssignment a = to_one_expert(5, 5, 1);
  apply_capacity({2.0, 1, Priority::gate, 1, false}, groups,
                 std::vector<double>{0.1, 0.5, 0.9, 0.5, 0.5}, a);
  EXPECT_EQ(a.kept, (std::vector<uint8_t>{0, 1, 1, 0, 0}));
}

TEST(Capacity, FirstChoicesFindTheirSlotsFirst) {
  const Groups groups = make_groups({}, whole_batch(1, 3));
  SparseAssignment a = empty_assignment(3);
  a.append(std::vector<int32_t>{0, 1});
  a.append(std::vector<int32_t>{0, 1});
  a.append(std::vector<int32_t>{1, 0});
  SparseAssignment by_position = a;
  apply_capacity({0.5, 1, Priority::position, 2, false}, groups, {}, by_position);
  EXPECT_EQ(by_position.kept, (std::vector<uint8_t>{1, 1, 0, 0, 0, 0}));
  apply_capacity({0.5, 1, Priority::position, 2, true}, groups, {}, a);
  EXPECT_EQ(a.kept, (std::vector<uint8_t>{1, 0, 0, 0, 1, 0}));
}

// Kept and dropped add up, no expert of a group takes more than C, and nobody is dropped while
// there is room.
TEST(Capacity, RandomRoutingKeepsWhatFits) {
  const TokenContext batch = whole_batch(3, 7);
  const Groups groups = make_groups({}, batch);
  for (uint64_t key = 0; key < 50; ++key) {
    const Random random(key, "routing");
    SparseAssignment a = empty_assignment(4);
    std::vector<double> weights;
    for (int64_t t = 0; t < 21; ++t) {
      const auto first = static_cast<int32_t>(random.below(static_cast<uint64_t>(t), 2));
      a.append(std::vector<int32_t>{first, first + 1 + first});
      weights.push_back(random.uniform(static_cast<uint64_t>(t), 1));
      weights.push_back(random.uniform(static_cast<uint64_t>(t), 2));
    }
    const CapacityRule rule{0.8, 1, key % 2 == 0 ? Priority::gate : Priority::position, 2,
                            key % 3 == 0};
    apply_capacity(rule, groups, weights, a);
    const int64_t limit = capacity(2, 7, 0.8, 4, 1);
    for (int64_t b = 0; b < 3; ++b) {
      const SparseAssignment part = slice_tokens(a, b * 7, (b + 1) * 7);
      const auto selected = part.selected_counts();
      const auto kept = part.kept_counts();
      for (size_t e = 0; e < 4; ++e) EXPECT_EQ(kept[e], std::min(selected[e], limit));
    }
  }
}

// Two groups of two experts, room for two tokens in each: the third token of a group loses all its
// pairs and takes no slot of an expert.
TEST(GroupCapacity, ATokenWithoutRoomReachesNoExpert) {
  const std::vector<int32_t> bin{0, 0, 1, 1};
  SparseAssignment a = empty_assignment(4);
  a.append(std::vector<int32_t>{0, 1});
  a.append(std::vector<int32_t>{});
  a.append(std::vector<int32_t>{1});
  a.append(std::vector<int32_t>{1, 0});
  a.append(std::vector<int32_t>{3, 2});
  const Groups groups{{0, 0, 0, 0, 0}, {5}};
  const CapacityRule rule{0.8, 1, Priority::position, 1, false};  // ceil(5 * 0.8 / 2) = 2
  SparseAssignment by_position = a;
  apply_group_capacity(rule, groups, bin, 2, {}, by_position);
  EXPECT_EQ(by_position.kept, (std::vector<uint8_t>{1, 1, 1, 0, 0, 1, 1}));
  SparseAssignment by_gate = a;
  const std::vector<double> weights{0.5, 0.0, 0.4, 0.9, 0.6};
  apply_group_capacity({0.8, 1, Priority::gate, 1, false}, groups, bin, 2, weights, by_gate);
  EXPECT_EQ(by_gate.kept, (std::vector<uint8_t>{1, 1, 0, 1, 1, 1, 1}));
  // One slot of each expert: what was dropped before takes none.
  a.kept[0] = a.kept[1] = 0;
  apply_capacity({0.8, 1, Priority::position, 1, false}, groups, {}, a);
  EXPECT_EQ(a.kept, (std::vector<uint8_t>{0, 0, 1, 0, 1, 1, 1}));
}

}  // namespace
}  // namespace troupe
