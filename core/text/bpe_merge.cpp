#include "core/text/bpe_merge.h"

#include <bit>
#include <queue>

namespace troupe {
namespace {

constexpr size_t kShort = 48;

void merge_short(const MergeTable& merges, std::vector<int32_t>& ids) {
  MergeTable::Found pair[kShort];  // pair[i]: of ids[i] and ids[i + 1]
  size_t count = ids.size();
  for (size_t i = 0; i + 1 < count; ++i) pair[i] = merges.find(ids[i], ids[i + 1]);
  while (count > 1) {
    size_t best = 0;
    for (size_t i = 1; i + 1 < count; ++i)
      if (pair[i].rank < pair[best].rank) best = i;
    if (pair[best].rank == INT32_MAX) break;
    ids[best] = pair[best].result;
    for (size_t i = best + 1; i + 1 < count; ++i) {
      ids[i] = ids[i + 1];
      pair[i] = pair[i + 1];
    }
    --count;
    if (best > 0) pair[best - 1] = merges.find(ids[best - 1], ids[best]);
    if (best + 1 < count) pair[best] = merges.find(ids[best], ids[best + 1]);
  }
  ids.resize(count);
}

struct Candidate {
  int32_t rank;
  int32_t result;
  uint32_t place;      // of the left symbol
  uint32_t right_end;  // where the right symbol ended when the pair was seen
  bool operator>(const Candidate& other) const {
    return rank != other.rank ? rank > other.rank : place > other.place;
  }
};

// Symbols keep the place of their first id; a candidate is stale when one of its two symbols has
// been merged since, which shows in the left symbol's id being gone or its neighbour's end.
class LongMerge {
 public:
  LongMerge(const MergeTable& merges, std::vector<int32_t>& ids)
      : merges_(merges), ids_(ids), previous_(ids.size()), next_(ids.size()) {
    const auto count = static_cast<uint32_t>(ids.size());
    for (uint32_t i = 0; i < count; ++i) {
      previous_[i] = i - 1;  // of the first: wraps, never used
      next_[i] = i + 1;
    }
    for (uint32_t i = 0; i + 1 < count; ++i) push(i);
  }

  void run() {
    const auto count = static_cast<uint32_t>(ids_.size());
    while (!queue_.empty()) {
      const Candidate best = queue_.top();
      queue_.pop();
      if (ids_[best.place] < 0) continue;
      const uint32_t right = next_[best.place];
      if (right >= count || next_[right] != best.right_end) continue;
      const MergeTable::Found now = merges_.find(ids_[best.place], ids_[right]);
      if (now.rank != best.rank) continue;
      ids_[best.place] = best.result;
      ids_[right] = -1;
      next_[best.place] = next_[right];
      if (next_[right] < count) previous_[next_[right]] = best.place;
      push(best.place);
      if (best.place > 0) push(previous_[best.place]);
    }
    std::erase(ids_, -1);
  }

 private:
  void push(uint32_t place) {
    const uint32_t right = next_[place];
    if (right >= ids_.size()) return;
    const MergeTable::Found found = merges_.find(ids_[place], ids_[right]);
    if (found.rank != INT32_MAX) queue_.push({found.rank, found.result, place, next_[right]});
  }

  const MergeTable& merges_;
  std::vector<int32_t>& ids_;
  std::vector<uint32_t> previous_;
  std::vector<uint32_t> next_;
  std::priority_queue<Candidate, std::vector<Candidate>, std::greater<>> queue_;
};

}  // namespace

MergeTable::MergeTable(std::span<const BpeMerge> merges)
    : slots_(std::bit_ceil(2 * merges.size() + 2)), mask_(slots_.size() - 1) {
  for (size_t rank = 0; rank < merges.size(); ++rank) {
    const BpeMerge& merge = merges[rank];
    slots_[slot_of(merge.left, merge.right)] = {
        merge.left, merge.right, {static_cast<int32_t>(rank), merge.result}};
  }
}

size_t MergeTable::slot_of(int32_t left, int32_t right) const {
  const uint64_t key = uint64_t{static_cast<uint32_t>(left)} << 32 | static_cast<uint32_t>(right);
  uint64_t slot = (key * 0x9E3779B97F4A7C15ULL >> 32) & mask_;
  while (slots_[slot].left >= 0 && (slots_[slot].left != left || slots_[slot].right != right))
    slot = (slot + 1) & mask_;
  return slot;
}

MergeTable::Found MergeTable::find(int32_t left, int32_t right) const {
  return slots_[slot_of(left, right)].found;
}

void apply_merges(const MergeTable& merges, std::vector<int32_t>& ids) {
  if (ids.size() < 2) return;
  if (ids.size() <= kShort) {
    merge_short(merges, ids);
  } else {
    LongMerge(merges, ids).run();
  }
}

}  // namespace troupe
