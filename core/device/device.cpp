#include "core/device/device.h"

#include <algorithm>
#include <mutex>

#include "core/base/error.h"
#include "core/device/cpu/heap.h"

namespace troupe {
namespace {

// Blocks below this have a heap of their own: they would cut holes that larger ones need.
constexpr size_t kSmall = 64 << 10;

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
    case MemoryKind::checkpoint:
      return "checkpoint";
  }
  return "?";
}

struct Device::Allocator {
  mutable std::mutex mutex;
  Heap small{256 << 10};
  Heap large{2 << 20};
  MemoryReport report;

  Heap& heap(size_t bytes) { return bytes < kSmall ? small : large; }
  void count(MemoryUse& use, int64_t bytes) {
    use.current += bytes;
    use.peak = std::max(use.peak, use.current);
  }
  void trim() {
    small.trim();
    large.trim();
  }
};

std::shared_ptr<Device> Device::cpu(int threads) {
  return std::shared_ptr<Device>(new Device(threads));
}

Device::Device(int threads) : allocator_(std::make_unique<Allocator>()) {
  require(threads >= 1, "a device needs at least one thread, got {}", threads);
  stream_ = {this, threads, nullptr};
}

Device::~Device() {
  kernel_cache_.reset();  // gives its blocks back to the allocator
}

void* Device::allocate(size_t bytes, MemoryKind kind) {
  std::lock_guard lock(allocator_->mutex);
  Heap& heap = allocator_->heap(bytes);
  void* pointer = heap.allocate(bytes);
  if (pointer == nullptr) {
    allocator_->trim();
    pointer = heap.allocate(bytes);
  }
  if (pointer == nullptr) {
    fail(ExitCode::resource, "out of memory: {} bytes for {} could not be had with {} bytes in use",
         bytes, name(kind), allocator_->report.total.current);
  }
  const auto taken = static_cast<int64_t>(class_bytes(bytes));
  allocator_->count(allocator_->report.by_kind[static_cast<int>(kind)], taken);
  allocator_->count(allocator_->report.total, taken);
  return pointer;
}

void Device::release(void* pointer, size_t bytes, MemoryKind kind) {
  std::lock_guard lock(allocator_->mutex);
  allocator_->heap(bytes).release(pointer);
  const auto taken = static_cast<int64_t>(class_bytes(bytes));
  allocator_->count(allocator_->report.by_kind[static_cast<int>(kind)], -taken);
  allocator_->count(allocator_->report.total, -taken);
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
  MemoryReport report = allocator_->report;
  for (const Heap* heap : {&allocator_->small, &allocator_->large}) {
    report.system_bytes += heap->system_bytes();
    report.system_allocations += heap->system_allocations();
  }
  return report;
}

void Device::reset_peak() {
  std::lock_guard lock(allocator_->mutex);
  for (MemoryUse& use : allocator_->report.by_kind) use.peak = use.current;
  allocator_->report.total.peak = allocator_->report.total.current;
}

}  // namespace troupe
