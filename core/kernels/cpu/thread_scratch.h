// The calling thread's scratch memory (product.h), handed out in parts. What several threads write
// at the same time, or what must outlive the piece, is a Scratch (row_access.h).
#pragma once

#include <cstdint>

#include "core/kernels/cpu/product.h"

namespace troupe::kernels::cpu {

class ThreadScratch {
 public:
  // bytes: all that will be taken, plus 64 for each part.
  ThreadScratch(Device& device, int64_t bytes)
      : next_(static_cast<std::byte*>(thread_scratch(device, bytes))) {}
  std::byte* take_bytes(int64_t bytes) {
    std::byte* out = next_;
    next_ += (bytes + 63) / 64 * 64;
    return out;
  }
  template <typename T>
  T* take(int64_t count) {
    return reinterpret_cast<T*>(take_bytes(count * static_cast<int64_t>(sizeof(T))));
  }

 private:
  std::byte* next_;
};

}  // namespace troupe::kernels::cpu
