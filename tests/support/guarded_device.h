// A device of tests whose memory the host may not touch, as that of a GPU: its memory is mapped
// twice. Views carry addresses of a mapping without access; the dispatch of kernels adds the
// distance to the mapping that they use. Any other access faults, and a handler says whose memory
// it was. Its kernels are the CPU's, so its numbers have the CPU's bits.
#pragma once

#include <map>
#include <memory>
#include <mutex>
#include <string>

#include "core/device/device.h"
#include "core/tensor/tensor.h"

namespace troupe::testing {

// One file in memory, mapped twice.
class TwoMappings {
 public:
  explicit TwoMappings(size_t bytes);
  ~TwoMappings();
  TwoMappings(const TwoMappings&) = delete;
  TwoMappings& operator=(const TwoMappings&) = delete;

 protected:
  size_t bytes_;
  std::byte* closed_;  // no access
  std::byte* open_;    // what kernels and copies use
};

class GuardedDevice final : private TwoMappings, public Device {
 public:
  static constexpr size_t kBytes = size_t{1} << 30;  // of address space; pages come when used
  static std::shared_ptr<GuardedDevice> make(int threads = 1, size_t bytes = kBytes);
  GuardedDevice(int threads, size_t bytes);
  ~GuardedDevice() override;

  // A message about a stray access to this tensor's memory will say this name.
  void label(const Tensor& tensor, const std::string& name);
  // The same of the values of parameters, which may be on any device.
  template <typename Parameters>
  static void label_all(const Parameters& parameters) {
    for (const auto* parameter : parameters)
      label_if_guarded(parameter->value(), parameter->name());
  }
  // What lies at an address of the mapping without access: "24 bytes of parameters, "head""; empty
  // if the address is none of this device's.
  std::string describe(const void* address);

  void* allocate(size_t bytes, MemoryKind kind) override;
  void release(void* pointer, size_t bytes, MemoryKind kind) override;
  void trim() override {}
  MemoryReport memory() const override;
  void reset_peak() override;
  void fill(void* to, int byte, size_t bytes) override;
  // Throws for memory of another device.
  void* for_kernels(void* pointer) const override;

 private:
  struct Block {
    size_t bytes = 0;
    size_t taken = 0;
    MemoryKind kind = MemoryKind::activation;
  };
  struct Label {
    size_t bytes = 0;
    std::string name;
  };
  void read(const void* from, void* to, size_t bytes) override;
  void write(const void* from, void* to, size_t bytes) override;
  const std::byte* reachable(const void* address, size_t bytes) const;
  void count(MemoryKind kind, int64_t bytes);
  static void label_if_guarded(const Tensor& tensor, const std::string& name);

  // Headers lie apart from the memory: the host could not read them there.
  mutable std::mutex mutex_;
  std::map<size_t, size_t> free_;  // offset -> bytes
  std::map<size_t, Block> used_;   // by offset
  std::map<size_t, Label> labels_;
  MemoryReport report_;
};

// The device on which a test runs: the CPU's, or a guarded one where the environment says
// TROUPE_TEST_DEVICE=guarded.
std::shared_ptr<Device> chosen_device(int threads = 1);

}  // namespace troupe::testing
