// A device: where tensors live, how their memory is got and counted, what crosses between it and
// the host, and the stream that runs its kernels. One Device per rank, handed down; never global.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <mutex>

#include "core/device/memory.h"

namespace troupe {

// guarded: of tests; the CPU's kernels on memory that the host may not touch.
enum class DeviceKind : uint8_t { cpu, cuda, guarded };
const char* name(DeviceKind kind);

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

// What crossed between the host and a device: how often, and how many bytes. Counted on the CPU
// too, where nothing has to be copied.
struct HostTraffic {
  int64_t copies = 0;  // to the host
  int64_t copied_bytes = 0;
  int64_t uploads = 0;  // from the host
  int64_t uploaded_bytes = 0;
};

// Any kernel, called after a cast to its own type (core/kernels/dispatch.h).
using KernelFunction = void (*)();

class Device : public std::enable_shared_from_this<Device> {
 public:
  // threads: size of the thread team of parallel_for.
  static std::shared_ptr<Device> cpu(int threads = 1);
  virtual ~Device();
  Device(const Device&) = delete;
  Device& operator=(const Device&) = delete;

  DeviceKind kind() const { return kind_; }
  // Is its memory the host's? Else only kernels may touch it, and the copies below.
  bool host_readable() const { return kind_ == DeviceKind::cpu; }
  Stream& stream() { return stream_; }

  // Bytes of 64-byte aligned memory from the caching allocator; contents undefined. Thread safe: a
  // block may be given back by another thread. Throws Error(resource) when there is no more.
  virtual void* allocate(size_t bytes, MemoryKind kind) = 0;
  virtual void release(void* pointer, size_t bytes, MemoryKind kind) = 0;
  // Gives cached blocks back to the system.
  virtual void trim() = 0;
  virtual MemoryReport memory() const = 0;
  virtual void reset_peak() = 0;

  // Between host memory and this device's; the host waits. Thread safe. Tensors cross by
  // core/tensor/host_memory.h.
  void copy_to_host(const void* from, void* to, size_t bytes);
  void copy_from_host(const void* from, void* to, size_t bytes);
  // Sets every byte; the host does not wait.
  virtual void fill(void* to, int byte, size_t bytes) = 0;
  // One crossing that needed no copy.
  void count_copy(size_t bytes);
  void count_upload(size_t bytes);
  HostTraffic host_traffic() const;

  // The function that does on this device what `cpu_kernel` does on the CPU.
  virtual KernelFunction kernel(KernelFunction cpu_kernel) const { return cpu_kernel; }
  // Where kernels find memory whose address is `pointer` in a View.
  virtual void* for_kernels(void* pointer) const { return pointer; }

  // Made by the first kernel that asks; thread safe.
  KernelCache& kernel_cache(std::unique_ptr<KernelCache> (*make)(Device&));

 protected:
  Device(DeviceKind kind, int threads);
  // Gives back what kernels keep; to be called by destructors, while there is an allocator.
  void drop_kernel_cache() { kernel_cache_.reset(); }
  virtual void read(const void* from, void* to, size_t bytes) = 0;
  virtual void write(const void* from, void* to, size_t bytes) = 0;

 private:
  DeviceKind kind_;
  Stream stream_;
  std::atomic<int64_t> copies_{0};
  std::atomic<int64_t> copied_bytes_{0};
  std::atomic<int64_t> uploads_{0};
  std::atomic<int64_t> uploaded_bytes_{0};
  std::mutex kernel_cache_mutex_;
  std::unique_ptr<KernelCache> kernel_cache_;
};

}  // namespace troupe
