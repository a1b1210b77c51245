#include "core/tensor/tensor.h"

#include "core/base/error.h"
#include "core/tensor/host_memory.h"

namespace troupe {
namespace {

void store(void* data, DType dtype, int64_t index, double value) {
  switch (dtype) {
    case DType::f64:
      static_cast<double*>(data)[index] = value;
      break;
    case DType::f32:
      static_cast<float*>(data)[index] = static_cast<float>(value);
      break;
    case DType::bf16:
      static_cast<BF16*>(data)[index] = BF16(static_cast<float>(value));
      break;
    case DType::i64:
      static_cast<int64_t*>(data)[index] = static_cast<int64_t>(value);
      break;
    case DType::i32:
      static_cast<int32_t*>(data)[index] = static_cast<int32_t>(value);
      break;
    case DType::u8:
      static_cast<uint8_t*>(data)[index] = static_cast<uint8_t>(value);
      break;
  }
}

double load(const void* data, DType dtype, int64_t index) {
  switch (dtype) {
    case DType::f64:
      return static_cast<const double*>(data)[index];
    case DType::f32:
      return static_cast<const float*>(data)[index];
    case DType::bf16:
      return static_cast<float>(static_cast<const BF16*>(data)[index]);
    case DType::i64:
      return static_cast<double>(static_cast<const int64_t*>(data)[index]);
    case DType::i32:
      return static_cast<const int32_t*>(data)[index];
    case DType::u8:
      return static_cast<const uint8_t*>(data)[index];
  }
  return 0;
}

// Calls visit(offset in elements) for each element in row-major order.
template <typename Visit>
void for_each_offset(const Shape& shape, const Shape& strides, Visit visit) {
  const int64_t count = shape.elements();
  std::array<int64_t, kMaxRank> position{};
  int64_t offset = 0;
  for (int64_t i = 0; i < count; ++i) {
    visit(offset);
    for (int dim = shape.rank() - 1; dim >= 0; --dim) {
      offset += strides[dim];
      if (++position[dim] < shape[dim]) break;
      offset -= strides[dim] * shape[dim];
      position[dim] = 0;
    }
  }
}

void check_count(size_t values, const Shape& shape) {
  require(static_cast<int64_t>(values) == shape.elements(), "{} values for shape {}", values,
          shape.text());
}

}  // namespace

Tensor Tensor::empty(const Shape& shape, DType dtype, const std::shared_ptr<Device>& device,
                     MemoryKind kind) {
  Tensor out;
  out.shape_ = shape;
  out.strides_ = contiguous_strides(shape);
  out.dtype_ = dtype;
  out.storage_ = std::make_shared<Storage>(
      device, static_cast<size_t>(shape.elements()) * size_of(dtype), kind);
  return out;
}

Tensor Tensor::zeros(const Shape& shape, DType dtype, const std::shared_ptr<Device>& device,
                     MemoryKind kind) {
  Tensor out = empty(shape, dtype, device, kind);
  out.set_zero();
  return out;
}

void Tensor::set_zero() const {
  require(contiguous(), "zeros into a tensor of shape {} with strides {}", shape_.text(),
          strides_.text());
  if (bytes() > 0) device()->fill(view().data, 0, bytes());
}

Tensor Tensor::full(const Shape& shape, DType dtype, double value,
                    const std::shared_ptr<Device>& device, MemoryKind kind) {
  Tensor out = empty(shape, dtype, device, kind);
  const HostBytes host(out, HostAccess::write);
  for (int64_t i = 0; i < shape.elements(); ++i) store(host.data(), dtype, i, value);
  return out;
}

Tensor Tensor::from(std::span<const double> values, const Shape& shape, DType dtype,
                    const std::shared_ptr<Device>& device) {
  check_count(values.size(), shape);
  Tensor out = empty(shape, dtype, device);
  const HostBytes host(out, HostAccess::write);
  for (size_t i = 0; i < values.size(); ++i) {
    store(host.data(), dtype, static_cast<int64_t>(i), values[i]);
  }
  return out;
}

Tensor Tensor::from(std::span<const int64_t> values, const Shape& shape,
                    const std::shared_ptr<Device>& device) {
  check_count(values.size(), shape);
  Tensor out = empty(shape, DType::i64, device);
  upload(std::as_bytes(values), out);
  return out;
}

Tensor Tensor::from(std::span<const int32_t> values, const Shape& shape,
                    const std::shared_ptr<Device>& device) {
  check_count(values.size(), shape);
  Tensor out = empty(shape, DType::i32, device);
  upload(std::as_bytes(values), out);
  return out;
}

Tensor Tensor::strided(const Shape& shape, const Shape& strides, int64_t offset) const {
  require(defined() && shape.rank() == strides.rank(),
          "strided() of an undefined tensor or with {} strides for {}", strides.rank(),
          shape.text());
  Tensor out = *this;
  out.node_ = nullptr;
  out.shape_ = shape;
  out.strides_ = strides;
  out.offset_ = offset_ + offset;
  int64_t last = out.offset_;
  for (int i = 0; i < shape.rank(); ++i) {
    require(strides[i] >= 0, "negative stride {}", strides[i]);
    last += strides[i] * (shape[i] - 1);
  }
  require(shape.elements() == 0 ||
              (out.offset_ >= 0 && (last + 1) * static_cast<int64_t>(size_of(dtype_)) <=
                                       static_cast<int64_t>(storage_->bytes())),
          "a view of shape {} and strides {} at {} leaves its storage of {} bytes", shape.text(),
          strides.text(), out.offset_, storage_->bytes());
  return out;
}

View Tensor::view() const {
  require(defined(), "an undefined tensor was used");
  if (!storage_->held()) {  // spelled out only then: every use of a tensor comes by here
    fail(ExitCode::internal, "a tensor of shape {} was used while its memory is given back",
         shape_.text());
  }
  auto* bytes = static_cast<std::byte*>(storage_->data());
  return {bytes + offset_ * static_cast<int64_t>(size_of(dtype_)), dtype_, shape_, strides_,
          storage_->device()->kind()};
}

void Tensor::check_host_readable() const {
  require(defined(), "an undefined tensor was used");
  if (!device()->host_readable()) {
    fail(ExitCode::internal,
         "the host asked for the address of a tensor of shape {} in {} of a {} device: only "
         "kernels and host copies may touch its memory",
         shape_.text(), name(dtype_), name(device()->kind()));
  }
}

std::vector<double> Tensor::values() const {
  std::vector<double> out;
  out.reserve(static_cast<size_t>(elements()));
  const HostBytes host(*this, HostAccess::read);
  for_each_offset(shape_, strides_,
                  [&](int64_t i) { out.push_back(load(host.data(), dtype_, i)); });
  return out;
}

std::vector<int64_t> Tensor::integers() const {
  require(!is_floating(dtype_), "integers() of a {} tensor", name(dtype_));
  std::vector<int64_t> out;
  out.reserve(static_cast<size_t>(elements()));
  const HostBytes host(*this, HostAccess::read);
  const void* data = host.data();
  for_each_offset(shape_, strides_, [&](int64_t i) {
    out.push_back(dtype_ == DType::i64   ? static_cast<const int64_t*>(data)[i]
                  : dtype_ == DType::i32 ? static_cast<const int32_t*>(data)[i]
                                         : static_cast<const uint8_t*>(data)[i]);
  });
  return out;
}

double Tensor::item() const {
  require(elements() == 1, "item() of a tensor of shape {}", shape_.text());
  const HostBytes host(*this, HostAccess::read);
  return load(host.data(), dtype_, 0);
}

Tensor Tensor::detach() const {
  Tensor out = *this;
  out.node_ = nullptr;
  return out;
}

}  // namespace troupe
