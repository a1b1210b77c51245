#include "core/tensor/host_memory.h"

#include <utility>

#include "core/base/error.h"

namespace troupe {
namespace {

// Bytes from the first element to the end of the last one.
size_t extent(const Tensor& tensor) {
  if (tensor.elements() == 0) return 0;
  int64_t last = 0;
  for (int i = 0; i < tensor.rank(); ++i) last += tensor.strides()[i] * (tensor.dim(i) - 1);
  return static_cast<size_t>(last + 1) * size_of(tensor.dtype());
}

}  // namespace

HostBytes::HostBytes(const Tensor& tensor, HostAccess access)
    : tensor_(tensor.detach()), access_(access) {
  if (!tensor_.defined()) return;
  bytes_ = extent(tensor_);
  Device& device = *tensor_.device();
  auto* own = static_cast<std::byte*>(tensor_.view().data);
  if (device.host_readable()) {
    data_ = own;
    if (access_ != HostAccess::write) device.count_copy(bytes_);
    return;
  }
  // What lies between the elements of a strided tensor is written back as it was.
  if (access_ == HostAccess::write && !tensor_.contiguous()) access_ = HostAccess::update;
  copy_ = std::make_unique_for_overwrite<std::byte[]>(bytes_);
  data_ = copy_.get();
  if (access_ != HostAccess::write) device.copy_to_host(own, data_, bytes_);
}

HostBytes::HostBytes(HostBytes&& other) noexcept
    : tensor_(std::exchange(other.tensor_, Tensor())),
      access_(std::exchange(other.access_, HostAccess::read)),
      bytes_(other.bytes_),
      data_(std::exchange(other.data_, nullptr)),
      copy_(std::move(other.copy_)) {}

HostBytes::~HostBytes() { upload(); }

void HostBytes::upload() {
  if (access_ == HostAccess::read || !tensor_.defined()) return;
  access_ = HostAccess::read;
  Device& device = *tensor_.device();
  if (copy_ == nullptr) {
    device.count_upload(bytes_);
  } else {
    device.copy_from_host(data_, tensor_.view().data, bytes_);
  }
}

void upload(std::span<const std::byte> bytes, const Tensor& tensor) {
  require(tensor.contiguous() && tensor.bytes() == bytes.size(),
          "{} bytes for a tensor of shape {} in {}", bytes.size(), tensor.shape().text(),
          name(tensor.dtype()));
  tensor.device()->copy_from_host(bytes.data(), tensor.view().data, bytes.size());
}

}  // namespace troupe
