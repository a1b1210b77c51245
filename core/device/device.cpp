#include "core/device/device.h"

#include "core/base/error.h"

namespace troupe {

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

const char* name(DeviceKind kind) {
  switch (kind) {
    case DeviceKind::cpu:
      return "cpu";
    case DeviceKind::cuda:
      return "cuda";
    case DeviceKind::guarded:
      return "guarded";
  }
  return "?";
}

Device::Device(DeviceKind kind, int threads) : kind_(kind) {
  require(threads >= 1, "a device needs at least one thread, got {}", threads);
  stream_ = {this, threads, nullptr};
}

Device::~Device() = default;

void Device::count_copy(size_t bytes) {
  copies_.fetch_add(1, std::memory_order_relaxed);
  copied_bytes_.fetch_add(static_cast<int64_t>(bytes), std::memory_order_relaxed);
}

void Device::count_upload(size_t bytes) {
  uploads_.fetch_add(1, std::memory_order_relaxed);
  uploaded_bytes_.fetch_add(static_cast<int64_t>(bytes), std::memory_order_relaxed);
}

void Device::copy_to_host(const void* from, void* to, size_t bytes) {
  count_copy(bytes);
  if (bytes > 0) read(from, to, bytes);
}

void Device::copy_from_host(const void* from, void* to, size_t bytes) {
  count_upload(bytes);
  if (bytes > 0) write(from, to, bytes);
}

HostTraffic Device::host_traffic() const {
  return {copies_.load(), copied_bytes_.load(), uploads_.load(), uploaded_bytes_.load()};
}

KernelCache& Device::kernel_cache(std::unique_ptr<KernelCache> (*make)(Device&)) {
  std::lock_guard lock(kernel_cache_mutex_);
  if (!kernel_cache_) kernel_cache_ = make(*this);
  return *kernel_cache_;
}

}  // namespace troupe
