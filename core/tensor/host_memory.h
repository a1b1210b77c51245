// The ways between the host and the memory of a device. On the CPU they are the same memory:
// nothing is copied. On any other device each is a copy for which the host waits. The device counts
// both (Device::host_traffic). Where code outside kernels may do this is listed in ARCHITECTURE.md.
#pragma once

#include <cstddef>
#include <memory>
#include <span>

#include "core/tensor/tensor.h"

namespace troupe {

enum class HostAccess : uint8_t { read, write, update };

// The bytes from a tensor's first element to its last, strides as they are.
class HostBytes {
 public:
  HostBytes(const Tensor& tensor, HostAccess access);
  ~HostBytes();
  HostBytes(HostBytes&& other) noexcept;
  HostBytes(const HostBytes&) = delete;
  HostBytes& operator=(const HostBytes&) = delete;
  HostBytes& operator=(HostBytes&&) = delete;

  std::byte* data() const { return data_; }
  size_t bytes() const { return bytes_; }
  // Writes back what was written, once; the destructor does it otherwise.
  void upload();

 private:
  Tensor tensor_;
  HostAccess access_;
  size_t bytes_ = 0;
  std::byte* data_ = nullptr;
  std::unique_ptr<std::byte[]> copy_;
};

// Elements of a tensor in host memory. T is const where they are only read.
template <typename T>
class HostElements {
 public:
  HostElements(const Tensor& tensor, HostAccess access) : bytes_((check(tensor), tensor), access) {}
  T* data() const { return reinterpret_cast<T*>(bytes_.data()); }
  size_t size() const { return bytes_.bytes() / sizeof(T); }
  T* begin() const { return data(); }
  T* end() const { return data() + size(); }
  T& operator[](int64_t i) const { return data()[i]; }
  operator std::span<T>() const { return {data(), size()}; }
  void upload() { bytes_.upload(); }

 private:
  static void check(const Tensor& tensor) {
    if (tensor.defined()) tensor.view().template as<std::remove_const_t<T>>();
  }
  HostBytes bytes_;
};

// The elements as they are now.
template <typename T>
HostElements<const T> host_copy(const Tensor& tensor) {
  return {tensor, HostAccess::read};
}
// To be written whole (contents undefined before), and to be changed: on the device when this goes.
template <typename T>
HostElements<T> host_output(const Tensor& tensor) {
  return {tensor, HostAccess::write};
}
template <typename T>
HostElements<T> host_update(const Tensor& tensor) {
  return {tensor, HostAccess::update};
}

// Copies host memory over a contiguous tensor.
void upload(std::span<const std::byte> bytes, const Tensor& tensor);

}  // namespace troupe
