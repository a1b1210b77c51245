#include "core/device/cpu/heap.h"

#include <gtest/gtest.h>

#include <cstring>
#include <map>

#include "core/base/random.h"

namespace troupe {
namespace {

constexpr size_t kMega = size_t{1} << 20;

TEST(Heap, ClassesAreEightPerPowerOfTwo) {
  EXPECT_EQ(class_bytes(0), 64u);
  EXPECT_EQ(class_bytes(64), 64u);
  EXPECT_EQ(class_bytes(65), 128u);
  EXPECT_EQ(class_bytes(512), 512u);
  EXPECT_EQ(class_bytes(513), 576u);
  EXPECT_EQ(class_bytes(1024), 1024u);
  EXPECT_EQ(class_bytes(1025), 1152u);
  EXPECT_EQ(class_bytes(10000), 10240u);
}

// Blocks of random sizes that live for random times keep what was written into them, and none lies
// in another.
TEST(Heap, BlocksKeepTheirBytes) {
  Heap heap(kMega);
  std::map<std::byte*, std::pair<size_t, int>> used;
  const Random random(7, "heap");
  for (uint64_t i = 0; i < 20000; ++i) {
    if (random.uniform(i) < 0.5 || used.empty()) {
      const size_t bytes = random.below(i, size_t{1} << random.below(i, 18, 1), 2) + 1;
      auto* block = static_cast<std::byte*>(heap.allocate(bytes));
      ASSERT_NE(block, nullptr);
      ASSERT_EQ(reinterpret_cast<uintptr_t>(block) % 64, 0u);
      std::memset(block, static_cast<int>(i % 256), bytes);
      const auto [at, added] = used.emplace(block, std::pair(bytes, static_cast<int>(i % 256)));
      ASSERT_TRUE(added);
      if (std::next(at) != used.end()) {
        ASSERT_LE(block + bytes, std::next(at)->first);
      }
      if (at != used.begin()) {
        ASSERT_LE(std::prev(at)->first + std::prev(at)->second.first, block);
      }
    } else {
      const auto at =
          std::next(used.begin(), static_cast<int64_t>(random.below(i, used.size(), 3)));
      const auto [bytes, value] = at->second;
      for (size_t b = 0; b < bytes; ++b) ASSERT_EQ(std::to_integer<int>(at->first[b]), value) << i;
      heap.release(at->first);
      used.erase(at);
    }
  }
  for (const auto& [block, size] : used) heap.release(block);
  heap.trim();
  EXPECT_EQ(heap.system_bytes(), 0);
}

// Memory of one size serves another, larger one: free neighbours are joined.
TEST(Heap, FreeNeighboursAreJoined) {
  Heap heap(16 * kMega);
  std::vector<void*> blocks;
  for (int i = 0; i < 12; ++i) blocks.push_back(heap.allocate(kMega));
  EXPECT_EQ(heap.system_allocations(), 1);
  for (const int i : {1, 3, 2, 0, 11, 10, 9, 4, 6, 8, 7, 5}) {
    heap.release(blocks[static_cast<size_t>(i)]);
  }
  void* large = heap.allocate(14 * kMega);
  ASSERT_NE(large, nullptr);
  EXPECT_EQ(heap.system_allocations(), 1);
  heap.release(large);
}

// The row counts of a layer vary from step to step; what is held stays near what is used.
TEST(Heap, VaryingSizesDoNotPileUp) {
  Heap heap(kMega);
  const Random random(3, "rows");
  size_t most = 0;
  for (uint64_t step = 0; step < 300; ++step) {
    std::vector<void*> kept;
    size_t used = 0;
    for (uint64_t layer = 0; layer < 8; ++layer) {
      const size_t rows = 500 + random.below(step * 8 + layer, 1500);
      for (const size_t width : {1024, 2048, 512}) {
        kept.push_back(heap.allocate(rows * width));
        used += class_bytes(rows * width);
      }
    }
    most = std::max(most, used);
    while (!kept.empty()) {
      heap.release(kept.back());
      kept.pop_back();
    }
  }
  EXPECT_LT(static_cast<double>(heap.system_bytes()), 1.4 * static_cast<double>(most));
}

TEST(Heap, RefusesWhatCannotBeHad) {
  Heap heap(kMega);
#ifndef __SANITIZE_ADDRESS__
  EXPECT_EQ(heap.allocate(size_t{1} << 60), nullptr);
#endif
  EXPECT_EQ(heap.allocate(SIZE_MAX), nullptr);
  EXPECT_EQ(heap.allocate(SIZE_MAX - 100), nullptr);
  EXPECT_EQ(heap.system_bytes(), 0);
}

}  // namespace
}  // namespace troupe
