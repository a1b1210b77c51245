#include "core/device/device.h"

#include <sys/mman.h>

#include <algorithm>
#include <bit>
#include <cstdlib>
#include <map>
#include <mutex>
#include <vector>

#include "core/base/error.h"

namespace troupe {
namespace {

constexpr size_t kAlignment = 64;

// Size classes: eight per power of two, so a block wastes less than 1/8 and is found again when
// shapes vary a little (row counts of dropless routing).
size_t size_class(size_t bytes) {
  if (bytes <= 512) return (std::max<size_t>(bytes, 1) + 63) / 64 * 64;
  const size_t step = std::bit_floor(bytes - 1) / 8;
  return (bytes + step - 1) / step * step;
}

// Asks for huge pages for large blocks: passes over weights and moments are bound by page walks
// otherwise (measured in a virtual machine: 2.5 times the time). Only whole huge pages inside the
// block are marked, so it takes no more memory. Null when there is no more memory.
void* system_block(size_t bytes) {
  constexpr size_t kHugePage = size_t{2} << 20;
  if (bytes < kHugePage) return std::aligned_alloc(kAlignment, bytes);
  const size_t whole = (bytes + kHugePage - 1) / kHugePage * kHugePage;
  if (whole < bytes) return nullptr;
  void* block = std::aligned_alloc(kHugePage, whole);
  if (block != nullptr) madvise(block, bytes / kHugePage * kHugePage, MADV_HUGEPAGE);  // a wish
  return block;
}

}  // namespace

const char* name(MemoryKind kind) {
  switch (kind) {
    case MemoryKind::parameter:
      return "parameters";
    case MemoryKind::gradient:
      return "gradients";
    case MemoryKind::optimizer:
      return "optimizer";
    case MemoryKind::activation:
      return "activations";
    case MemoryKind::communication:
      return "communication";
  }
  return "?";
}

struct Device::Allocator {
  mutable std::mutex mutex;
  std::map<size_t, std::vector<void*>> free_blocks;  // by size class
  MemoryReport report;

  void count(MemoryUse& use, int64_t bytes) {
    use.current += bytes;
    use.peak = std::max(use.peak, use.current);
  }

  void trim() {
    for (auto& [bytes, blocks] : free_blocks) {
      for (void* block : blocks) std::free(block);
      report.system_bytes -= static_cast<int64_t>(bytes * blocks.size());
      blocks.clear();
    }
  }
};

std::shared_ptr<Device> Device::cpu(int threads) {
  return std::shared_ptr<Device>(new Device(threads));
}

Device::Device(int threads) : allocator_(std::make_unique<Allocator>()) {
  require(threads >= 1, "a device needs at least one thread, got {}", threads);
  stream_ = {this, threads};
}

Device::~Device() {
  kernel_cache_.reset();  // gives its blocks back to the allocator
  allocator_->trim();
}

void* Device::allocate(size_t bytes, MemoryKind kind) {
  const size_t rounded = size_class(bytes);
  std::lock_guard lock(allocator_->mutex);
  void* pointer = nullptr;
  const auto cached = allocator_->free_blocks.find(rounded);
  if (cached != allocator_->free_blocks.end() && !cached->second.empty()) {
    pointer = cached->second.back();
    cached->second.pop_back();
  }
  if (pointer == nullptr) {
    pointer = system_block(rounded);
    if (pointer == nullptr) {
      allocator_->trim();
      pointer = system_block(rounded);
    }
    if (pointer == nullptr) {
      fail(ExitCode::resource,
           "out of memory: {} bytes for {} could not be had with {} bytes in use", rounded,
           name(kind), allocator_->report.total.current);
    }
    allocator_->report.system_bytes += static_cast<int64_t>(rounded);
    ++allocator_->report.system_allocations;
  }
  allocator_->count(allocator_->report.by_kind[static_cast<int>(kind)],
                    static_cast<int64_t>(rounded));
  allocator_->count(allocator_->report.total, static_cast<int64_t>(rounded));
  return pointer;
}

void Device::release(void* pointer, size_t bytes, MemoryKind kind) {
  const size_t rounded = size_class(bytes);
  std::lock_guard lock(allocator_->mutex);
  allocator_->free_blocks[rounded].push_back(pointer);
  allocator_->count(allocator_->report.by_kind[static_cast<int>(kind)],
                    -static_cast<int64_t>(rounded));
  allocator_->count(allocator_->report.total, -static_cast<int64_t>(rounded));
}

KernelCache& Device::kernel_cache(std::unique_ptr<KernelCache> (*make)(Device&)) {
  std::lock_guard lock(kernel_cache_mutex_);
  if (!kernel_cache_) kernel_cache_ = make(*this);
  return *kernel_cache_;
}

void Device::trim() {
  std::lock_guard lock(allocator_->mutex);
  allocator_->trim();
}

MemoryReport Device::memory() const {
  std::lock_guard lock(allocator_->mutex);
  return allocator_->report;
}

void Device::reset_peak() {
  std::lock_guard lock(allocator_->mutex);
  for (MemoryUse& use : allocator_->report.by_kind) use.peak = use.current;
  allocator_->report.total.peak = allocator_->report.total.current;
}

}  // namespace troupe
