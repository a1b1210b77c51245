// Bytes of elements, and of blocks as the device's allocator takes them.
#pragma once

#include <cstdint>

#include "core/device/cpu/heap.h"
#include "core/tensor/dtype.h"

namespace troupe {

inline int64_t bytes_of(DType dtype) { return static_cast<int64_t>(size_of(dtype)); }

// What a block of `bytes` counts in the accounting of memory.
inline int64_t allocated(int64_t bytes) {
  return static_cast<int64_t>(class_bytes(static_cast<size_t>(bytes)));
}

}  // namespace troupe
