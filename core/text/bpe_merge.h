// The merges of byte-level BPE and the loop that applies them.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

namespace troupe {

struct BpeMerge {
  int32_t left = 0;
  int32_t right = 0;
  int32_t result = 0;
};

// Merges by pair, in an open hash table. A pair that occurs twice keeps the later rank.
class MergeTable {
 public:
  explicit MergeTable(std::span<const BpeMerge> merges);  // rank = place in the list
  struct Found {
    int32_t rank = INT32_MAX;  // INT32_MAX: no such merge
    int32_t result = 0;
  };
  Found find(int32_t left, int32_t right) const;

 private:
  struct Slot {
    int32_t left = -1;
    int32_t right = -1;
    Found found;
  };
  size_t slot_of(int32_t left, int32_t right) const;
  std::vector<Slot> slots_;
  uint64_t mask_;
};

// Merges the pair of lowest rank, leftmost first, until none is left; changes `ids` in place. Short
// pieces by search, long ones with a priority queue: n log n for n ids.
void apply_merges(const MergeTable& merges, std::vector<int32_t>& ids);

}  // namespace troupe
