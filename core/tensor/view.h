// All that a kernel sees of a tensor: pointer, type, sizes, strides, device. Passed by value, owns
// nothing.
#pragma once

#include "core/device/device.h"
#include "core/tensor/dtype.h"
#include "core/tensor/shape.h"

namespace troupe {

struct View {
  void* data = nullptr;
  DType dtype = DType::f32;
  Shape shape;
  Shape strides;  // in elements; 0 for a broadcast dim
  DeviceKind device = DeviceKind::cpu;

  int64_t elements() const { return shape.elements(); }
  int64_t dim(int i) const { return shape[i]; }
  bool contiguous() const;
  // The data as T; throws when the dtype is another.
  template <typename T>
  T* as() const {
    check_dtype(DTypeOf<T>::value);
    return static_cast<T*>(data);
  }

 private:
  void check_dtype(DType wanted) const;
};

}  // namespace troupe
