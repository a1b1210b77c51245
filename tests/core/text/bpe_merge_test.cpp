#include "core/text/bpe_merge.h"

#include <gtest/gtest.h>

#include <map>
#include <random>

namespace troupe {
namespace {

// The definition: merge the pair of lowest rank, leftmost first, until none is left.
std::vector<int32_t> by_definition(const std::vector<BpeMerge>& merges, std::vector<int32_t> ids) {
  std::map<std::pair<int32_t, int32_t>, std::pair<size_t, int32_t>> table;
  for (size_t rank = 0; rank < merges.size(); ++rank)
    table[{merges[rank].left, merges[rank].right}] = {rank, merges[rank].result};
  for (;;) {
    size_t best = SIZE_MAX;
    size_t best_rank = SIZE_MAX;
    for (size_t i = 0; i + 1 < ids.size(); ++i) {
      const auto found = table.find({ids[i], ids[i + 1]});
      if (found == table.end() || found->second.first >= best_rank) continue;
      best = i;
      best_rank = found->second.first;
    }
    if (best == SIZE_MAX) return ids;
    ids[best] = table.at({ids[best], ids[best + 1]}).second;
    ids.erase(ids.begin() + static_cast<int64_t>(best) + 1);
  }
}

TEST(ApplyMerges, EqualsTheDefinition) {
  std::mt19937 random(7);
  for (int round = 0; round < 400; ++round) {
    // Merges in any order, also ones whose result is ranked before its parts, and repeated pairs.
    const int symbols = 2 + static_cast<int>(random() % 4);
    std::vector<BpeMerge> merges;
    int32_t next = symbols;
    for (int i = 0; i < 12; ++i) {
      const auto pick = [&] {
        return static_cast<int32_t>(random() % static_cast<uint32_t>(next));
      };
      const int32_t left = pick();
      const int32_t right = pick();
      merges.push_back({left, right, next++});
    }
    std::shuffle(merges.begin(), merges.end(), random);
    const MergeTable table(merges);
    for (const size_t length : {1U, 2U, 5U, 47U, 48U, 49U, 150U}) {
      std::vector<int32_t> ids(length);
      for (int32_t& id : ids) id = static_cast<int32_t>(random() % static_cast<uint32_t>(symbols));
      const std::vector<int32_t> expected = by_definition(merges, ids);
      apply_merges(table, ids);
      ASSERT_EQ(ids, expected) << "round " << round << ", length " << length;
    }
  }
}

// So long that a quadratic loop would not end within the time limit.
TEST(ApplyMerges, TakesLongRunsInNearlyLinearTime) {
  const std::vector<BpeMerge> merges = {{0, 0, 1}, {1, 1, 2}, {2, 2, 3}, {3, 3, 4}};
  const MergeTable table(merges);
  std::vector<int32_t> ids(size_t{1} << 20, 0);
  apply_merges(table, ids);
  EXPECT_EQ(ids, std::vector<int32_t>(size_t{1} << 16, 4));
}

}  // namespace
}  // namespace troupe
