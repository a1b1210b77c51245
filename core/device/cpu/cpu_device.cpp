#include "core/device/cpu/cpu_device.h"

#include <algorithm>
#include <cstring>

#include "core/base/error.h"

namespace troupe {
namespace {

// Blocks below this have a heap of their own: they would cut holes that larger ones need.
constexpr size_t kSmall = 64 << 10;

void count(MemoryUse& use, int64_t bytes) {
  use.current += bytes;
  use.peak = std::max(use.peak, use.current);
}

}  // namespace

std::shared_ptr<Device> Device::cpu(int threads) { return std::make_shared<CpuDevice>(threads); }

CpuDevice::CpuDevice(int threads)
    : Device(DeviceKind::cpu, threads), small_(256 << 10), large_(2 << 20) {}

CpuDevice::~CpuDevice() { drop_kernel_cache(); }

Heap& CpuDevice::heap(size_t bytes) { return bytes < kSmall ? small_ : large_; }

void* CpuDevice::allocate(size_t bytes, MemoryKind kind) {
  std::lock_guard lock(mutex_);
  void* pointer = heap(bytes).allocate(bytes);
  if (pointer == nullptr) {
    small_.trim();
    large_.trim();
    pointer = heap(bytes).allocate(bytes);
  }
  if (pointer == nullptr) {
    fail(ExitCode::resource, "out of memory: {} bytes for {} could not be had with {} bytes in use",
         bytes, name(kind), report_.total.current);
  }
  const auto taken = static_cast<int64_t>(class_bytes(bytes));
  count(report_.by_kind[static_cast<int>(kind)], taken);
  count(report_.total, taken);
  return pointer;
}

void CpuDevice::release(void* pointer, size_t bytes, MemoryKind kind) {
  std::lock_guard lock(mutex_);
  heap(bytes).release(pointer);
  const auto taken = static_cast<int64_t>(class_bytes(bytes));
  count(report_.by_kind[static_cast<int>(kind)], -taken);
  count(report_.total, -taken);
}

void CpuDevice::trim() {
  std::lock_guard lock(mutex_);
  small_.trim();
  large_.trim();
}

MemoryReport CpuDevice::memory() const {
  std::lock_guard lock(mutex_);
  MemoryReport report = report_;
  for (const Heap* heap : {&small_, &large_}) {
    report.system_bytes += heap->system_bytes();
    report.system_allocations += heap->system_allocations();
  }
  return report;
}

void CpuDevice::reset_peak() {
  std::lock_guard lock(mutex_);
  for (MemoryUse& use : report_.by_kind) use.peak = use.current;
  report_.total.peak = report_.total.current;
}

void CpuDevice::fill(void* to, int byte, size_t bytes) { std::memset(to, byte, bytes); }
void CpuDevice::read(const void* from, void* to, size_t bytes) { std::memcpy(to, from, bytes); }
void CpuDevice::write(const void* from, void* to, size_t bytes) { std::memcpy(to, from, bytes); }

}  // namespace troupe
