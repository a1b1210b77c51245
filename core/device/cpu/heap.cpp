#include "core/device/cpu/heap.h"

#include <sanitizer/asan_interface.h>  // its macros are empty in other builds
#include <sys/mman.h>

#include <algorithm>
#include <bit>
#include <cstdint>
#include <new>

namespace troupe {
namespace {

constexpr size_t kHeader = 64;
constexpr size_t kPage = 4096;
constexpr size_t kHugePage = size_t{2} << 20;
constexpr size_t kMostGrowth = size_t{64} << 20;

// The largest class whose blocks fit into `bytes` (a multiple of 64).
int class_of(size_t bytes) {
  if (bytes < 512) return static_cast<int>(bytes / 64);
  const int exponent = std::bit_width(bytes) - 1;
  return 8 + (exponent - 9) * 8 + static_cast<int>(bytes >> (exponent - 3) & 7);
}

std::byte* map_anywhere(std::byte* wish, size_t bytes) {
  void* found =
      mmap(wish, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  return found == MAP_FAILED ? nullptr : static_cast<std::byte*>(found);
}

size_t above_huge_page(const std::byte* at) { return reinterpret_cast<uintptr_t>(at) % kHugePage; }

// Where huge pages begin: what stands between them would be small pages, half of 4 MiB.
std::byte* map_aligned(size_t bytes) {
  std::byte* found = map_anywhere(nullptr, bytes + kHugePage);
  if (found == nullptr) return nullptr;
  const size_t lower = (kHugePage - above_huge_page(found)) % kHugePage;
  if (lower > 0) munmap(found, lower);
  munmap(found + lower + bytes, kHugePage - lower);
  return found + lower;
}

// Address space at `wish` if that is free, else anywhere; null when there is no more.
std::byte* map(std::byte* wish, size_t bytes) {
  std::byte* found = map_anywhere(wish, bytes);
  if (found == nullptr || bytes < kHugePage) return found;
  if (above_huge_page(found) != 0) {
    if (std::byte* aligned = map_aligned(bytes); aligned != nullptr) {
      munmap(found, bytes);
      found = aligned;
    }
  }
  // Passes over weights and moments are bound by page walks otherwise (measured in a virtual
  // machine: 2.5 times the time). Only a wish.
  madvise(found, bytes, MADV_HUGEPAGE);
  return found;
}

void unmap(std::byte* begin, size_t bytes) {
  ASAN_UNPOISON_MEMORY_REGION(begin, bytes);  // others may get these addresses
  munmap(begin, bytes);
}

}  // namespace

size_t class_bytes(size_t bytes) {
  if (bytes <= 512) return (std::max<size_t>(bytes, 1) + 63) / 64 * 64;
  const size_t step = std::bit_floor(bytes - 1) / 8;
  return (bytes + step - 1) / step * step;
}

// Stands before the memory that is given out. For the address sanitizer free memory and the guard
// are poisoned: it sees writes beyond a block and into one that was given back.
struct alignas(kHeader) Heap::Block {
  std::array<std::byte, 16> guard;
  Block* before;  // the block below it in the region, null for the first
  size_t bytes;   // without the header
  bool last;      // of its region
  bool free;
  Block* previous;  // in the list of its class, while free
  Block* next;

  static Block* make(std::byte* at, Block* before, size_t bytes, bool last) {
    ASAN_UNPOISON_MEMORY_REGION(at, kHeader);
    auto* block = new (at) Block{{}, before, bytes, last, false, nullptr, nullptr};
    ASAN_POISON_MEMORY_REGION(at, sizeof(guard));
    return block;
  }
  std::byte* memory() { return reinterpret_cast<std::byte*>(this) + kHeader; }
  Block* after() { return last ? nullptr : reinterpret_cast<Block*>(memory() + bytes); }
};

Heap::~Heap() {
  for (const Region& region : regions_) unmap(region.begin, region.bytes);
}

void Heap::insert(Block* block) {
  const auto at = static_cast<size_t>(class_of(block->bytes));
  block->free = true;
  block->previous = nullptr;
  block->next = free_[at];
  if (block->next != nullptr) block->next->previous = block;
  free_[at] = block;
  some_[at / 64] |= uint64_t{1} << at % 64;
  ASAN_POISON_MEMORY_REGION(block->memory(), block->bytes);
}

void Heap::remove(Block* block) {
  const auto at = static_cast<size_t>(class_of(block->bytes));
  (block->previous != nullptr ? block->previous->next : free_[at]) = block->next;
  if (block->next != nullptr) block->next->previous = block->previous;
  if (free_[at] == nullptr) some_[at / 64] &= ~(uint64_t{1} << at % 64);
  block->free = false;
}

// Takes the smallest class that has a block out of the lists.
Heap::Block* Heap::take(size_t bytes) {
  const auto first = static_cast<size_t>(class_of(bytes));
  for (size_t word = first / 64; word < some_.size(); ++word) {
    uint64_t bits = some_[word];
    if (word == first / 64) bits &= ~uint64_t{0} << first % 64;
    if (bits == 0) continue;
    Block* block = free_[word * 64 + static_cast<size_t>(std::countr_zero(bits))];
    remove(block);
    return block;
  }
  return nullptr;
}

// A free block, not in a list, grows by its free neighbours.
Heap::Block* Heap::join_neighbours(Block* block) {
  if (Block* after = block->after(); after != nullptr && after->free) {
    remove(after);
    block->bytes += kHeader + after->bytes;
    block->last = after->last;
  }
  if (Block* before = block->before; before != nullptr && before->free) {
    remove(before);
    before->bytes += kHeader + block->bytes;
    before->last = block->last;
    block = before;
  }
  if (Block* after = block->after(); after != nullptr) after->before = block;
  return block;
}

// New memory as one free block; it becomes part of the region that it lies below of, if any.
Heap::Block* Heap::join_region(std::byte* begin, size_t bytes) {
  auto* block = Block::make(begin, nullptr, bytes - kHeader, true);
  for (Region& region : regions_) {
    if (begin + bytes != region.begin) continue;
    block->last = false;
    region = {begin, bytes + region.bytes};
    return join_neighbours(block);
  }
  regions_.push_back({begin, bytes});
  return block;
}

Heap::Block* Heap::grow(size_t bytes) {
  const size_t least =
      std::clamp(static_cast<size_t>(system_bytes_) / 4, least_growth_, kMostGrowth);
  const size_t wanted = std::max(bytes + kHeader, least);
  const size_t page = wanted >= kHugePage ? kHugePage : kPage;
  const size_t whole = (wanted + page - 1) / page * page;
  if (bytes > SIZE_MAX / 2 || whole < bytes) return nullptr;
  // Below the newest region, where the system's own placement goes on, too.
  std::byte* wish = regions_.empty() ? nullptr : regions_.back().begin - whole;
  std::byte* begin = map(wish, whole);
  if (begin == nullptr) return nullptr;
  system_bytes_ += static_cast<int64_t>(whole);
  ++system_allocations_;
  return join_region(begin, whole);
}

void* Heap::allocate(size_t bytes) {
  const size_t wanted = class_bytes(bytes);
  if (wanted < bytes || wanted > SIZE_MAX / 4) return nullptr;
  Block* block = take(wanted);
  if (block == nullptr) block = grow(wanted);
  if (block == nullptr) return nullptr;
  if (block->bytes >= wanted + kHeader + 64) {
    // The upper end is given out: what is left stays next to memory that may come below it.
    Block* rest = block;
    const size_t left = block->bytes - wanted - kHeader;
    block = Block::make(rest->memory() + left, rest, wanted, rest->last);
    rest->bytes = left;
    rest->last = false;
    if (Block* after = block->after(); after != nullptr) after->before = block;
    insert(rest);
  }
  ASAN_UNPOISON_MEMORY_REGION(block->memory(), block->bytes);
  return block->memory();
}

void Heap::release(void* pointer) {
  auto* block = reinterpret_cast<Block*>(static_cast<std::byte*>(pointer) - kHeader);
  insert(join_neighbours(block));
}

void Heap::trim() {
  std::erase_if(regions_, [this](const Region& region) {
    auto* block = reinterpret_cast<Block*>(region.begin);
    if (!block->free || !block->last) return false;
    remove(block);
    unmap(region.begin, region.bytes);
    system_bytes_ -= static_cast<int64_t>(region.bytes);
    return true;
  });
}

}  // namespace troupe
