// A tensor: a value whose copies share storage, with an optional gradient tape.
#pragma once

#include <memory>
#include <span>
#include <vector>

#include "core/device/storage.h"
#include "core/tensor/view.h"

namespace troupe {

struct Node;  // core/autograd/tape.h

class Tensor {
 public:
  Tensor() = default;  // undefined

  // Contents undefined.
  static Tensor empty(const Shape& shape, DType dtype, const std::shared_ptr<Device>& device,
                      MemoryKind kind = MemoryKind::activation);
  static Tensor zeros(const Shape& shape, DType dtype, const std::shared_ptr<Device>& device,
                      MemoryKind kind = MemoryKind::activation);
  static Tensor full(const Shape& shape, DType dtype, double value,
                     const std::shared_ptr<Device>& device,
                     MemoryKind kind = MemoryKind::activation);
  // Copies values (converted to dtype) in row-major order; values.size() must be shape.elements().
  static Tensor from(std::span<const double> values, const Shape& shape, DType dtype,
                     const std::shared_ptr<Device>& device);
  static Tensor from(std::span<const int64_t> values, const Shape& shape,
                     const std::shared_ptr<Device>& device);
  static Tensor from(std::span<const int32_t> values, const Shape& shape,
                     const std::shared_ptr<Device>& device);
  // A view of the same storage: offset in elements from this tensor's first one. No tape (see
  // core/ops/view.h for views that carry gradients).
  Tensor strided(const Shape& shape, const Shape& strides, int64_t offset) const;

  bool defined() const { return storage_ != nullptr; }
  const Shape& shape() const { return shape_; }
  const Shape& strides() const { return strides_; }
  int rank() const { return shape_.rank(); }
  int64_t dim(int i) const { return shape_[i]; }
  int64_t elements() const { return shape_.elements(); }
  DType dtype() const { return dtype_; }
  size_t bytes() const { return static_cast<size_t>(elements()) * size_of(dtype_); }
  bool contiguous() const { return View{nullptr, dtype_, shape_, strides_}.contiguous(); }
  const std::shared_ptr<Device>& device() const { return storage_->device(); }
  Stream& stream() const { return storage_->device()->stream(); }
  const std::shared_ptr<Storage>& storage() const { return storage_; }
  View view() const;
  // The first element, for kernels of the host's own memory. Throws (a bug) where the memory is
  // not the host's: such tensors cross by core/tensor/host_memory.h.
  template <typename T>
  T* data() const {
    check_host_readable();
    return view().as<T>();
  }

  // Zeros into a contiguous tensor; the host does not wait.
  void set_zero() const;

  // Elements in row-major order as f64 / i64, for tests, metrics and messages. A host copy, as
  // item() is: the host waits, and it is counted.
  std::vector<double> values() const;
  std::vector<int64_t> integers() const;
  // The only element.
  double item() const;

  // The tape; null when no gradient flows here.
  const std::shared_ptr<Node>& node() const { return node_; }
  bool needs_gradient() const { return node_ != nullptr; }
  void set_node(std::shared_ptr<Node> node) { node_ = std::move(node); }
  // The same value without its tape.
  Tensor detach() const;

 private:
  void check_host_readable() const;
  std::shared_ptr<Storage> storage_;
  int64_t offset_ = 0;  // in elements
  DType dtype_ = DType::f32;
  Shape shape_;
  Shape strides_;
  std::shared_ptr<Node> node_;
};

}  // namespace troupe
