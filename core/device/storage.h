// A block of device memory, freed when its last tensor goes (maybe on another thread). Memory may
// be given back before and taken again: all tensors that share the block then see the new one.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>

#include "core/device/device.h"

namespace troupe {

class Storage {
 public:
  Storage(std::shared_ptr<Device> device, size_t bytes, MemoryKind kind)
      : device_(std::move(device)),
        bytes_(bytes),
        kind_(kind),
        data_(device_->allocate(bytes, kind)) {}
  ~Storage() { free(); }
  Storage(const Storage&) = delete;
  Storage& operator=(const Storage&) = delete;

  void* data() const { return data_; }  // null while the memory is given back
  bool held() const { return data_ != nullptr; }
  // Gives the memory back; the contents are lost.
  void free() {
    if (held()) device_->release(data_, bytes_, kind_);
    data_ = nullptr;
  }
  // Takes memory again, contents undefined.
  void allocate() {
    if (!held()) data_ = device_->allocate(bytes_, kind_);
  }
  size_t bytes() const { return bytes_; }
  MemoryKind kind() const { return kind_; }
  const std::shared_ptr<Device>& device() const { return device_; }

  // Counts in-place writes: a value saved for backward must still have the version it was saved
  // with.
  uint64_t version() const { return version_.load(std::memory_order_relaxed); }
  void written_in_place() { version_.fetch_add(1, std::memory_order_relaxed); }

 private:
  std::shared_ptr<Device> device_;
  size_t bytes_;
  MemoryKind kind_;
  void* data_;
  std::atomic<uint64_t> version_{0};
};

}  // namespace troupe
