// A device: where tensors live, how their memory is got and counted, and the stream that runs their
// kernels. One Device per rank, handed down; never global. (Today: the CPU; a CUDA device joins
// behind the same type.)
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <mutex>

#include "core/device/memory.h"

namespace troupe {

enum class DeviceKind : uint8_t { cpu, cuda };

class Device;
class Trace;

// Runs kernels in order. On CPU it is the rank's thread team.
struct Stream {
  Device* device = nullptr;
  int threads = 1;
  Trace* trace = nullptr;  // who is told what runs; null: nobody
};

// What kernels keep between calls on one device (compiled products, scratch memory).
class KernelCache {
 public:
  virtual ~KernelCache() = default;
};

class Device : public std::enable_shared_from_this<Device> {
 public:
  // threads: size of the thread team of parallel_for.
  static std::shared_ptr<Device> cpu(int threads = 1);
  ~Device();
  Device(const Device&) = delete;
  Device& operator=(const Device&) = delete;

  DeviceKind kind() const { return DeviceKind::cpu; }
  Stream& stream() { return stream_; }

  // Bytes of 64-byte aligned memory from the caching allocator; contents undefined. Thread safe: a
  // block may be given back by another thread. Throws Error(resource) when the system has no more.
  void* allocate(size_t bytes, MemoryKind kind);
  void release(void* pointer, size_t bytes, MemoryKind kind);
  // Gives cached blocks back to the system.
  void trim();

  MemoryReport memory() const;
  void reset_peak();

  // Made by the first kernel that asks; thread safe.
  KernelCache& kernel_cache(std::unique_ptr<KernelCache> (*make)(Device&));

 private:
  explicit Device(int threads);
  struct Allocator;
  std::unique_ptr<Allocator> allocator_;
  Stream stream_;
  std::mutex kernel_cache_mutex_;
  std::unique_ptr<KernelCache> kernel_cache_;
};

}  // namespace troupe
