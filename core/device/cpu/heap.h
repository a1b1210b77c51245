// Blocks of any size, cut from a few large pieces of system memory. Free neighbours are joined, so
// memory that held blocks of one size serves those of another, as the row counts of dropless
// routing need it. Blocks are found by size classes in constant time ("TLSF: a new dynamic memory
// allocator for real-time systems", Masmano et al., 2004). Not thread safe.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <vector>

namespace troupe {

class Heap {
 public:
  // least_growth: bytes that the system is asked for at least.
  explicit Heap(size_t least_growth) : least_growth_(least_growth) {}
  ~Heap();
  Heap(const Heap&) = delete;
  Heap& operator=(const Heap&) = delete;

  // 64-byte aligned memory for class_bytes(bytes). Null when the system has no more.
  void* allocate(size_t bytes);
  void release(void* pointer);
  // Gives regions without a used block back to the system.
  void trim();

  // Address space got from the system. Pages that were never written take no memory.
  int64_t system_bytes() const { return system_bytes_; }
  int64_t system_allocations() const { return system_allocations_; }

 private:
  struct Block;
  struct Region {
    std::byte* begin;
    size_t bytes;
  };
  static constexpr int kClasses = 8 + 8 * 55;

  Block* take(size_t bytes);
  Block* grow(size_t bytes);
  Block* join_region(std::byte* begin, size_t bytes);
  Block* join_neighbours(Block* block);
  void insert(Block* block);
  void remove(Block* block);

  size_t least_growth_;
  std::vector<Region> regions_;
  std::array<Block*, kClasses> free_{};                // first free block of each class
  std::array<uint64_t, (kClasses + 63) / 64> some_{};  // bit c: free_[c] is not empty
  int64_t system_bytes_ = 0;
  int64_t system_allocations_ = 0;
};

// What a block of `bytes` takes: eight sizes per power of two, at least multiples of 64.
size_t class_bytes(size_t bytes);

}  // namespace troupe
