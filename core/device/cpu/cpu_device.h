// The CPU as a device: memory from its own heaps, kernels on the rank's thread team.
#pragma once

#include <mutex>

#include "core/device/cpu/heap.h"
#include "core/device/device.h"

namespace troupe {

class CpuDevice final : public Device {
 public:
  explicit CpuDevice(int threads);
  ~CpuDevice() override;
  void* allocate(size_t bytes, MemoryKind kind) override;
  void release(void* pointer, size_t bytes, MemoryKind kind) override;
  void trim() override;
  MemoryReport memory() const override;
  void reset_peak() override;
  void fill(void* to, int byte, size_t bytes) override;

 private:
  void read(const void* from, void* to, size_t bytes) override;
  void write(const void* from, void* to, size_t bytes) override;
  Heap& heap(size_t bytes);

  mutable std::mutex mutex_;
  Heap small_;
  Heap large_;
  MemoryReport report_;
};

}  // namespace troupe
