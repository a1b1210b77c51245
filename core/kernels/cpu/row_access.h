// Rows of contiguous tensors as rows of the wide type: read in place, or converted through a
// buffer.
#pragma once

#include <cstdint>
#include <type_traits>
#include <vector>

#include "core/device/cpu/parallel_for.h"
#include "core/device/storage.h"
#include "core/kernels/cpu/vector.h"
#include "core/tensor/view.h"

namespace troupe::kernels::cpu {

// Scratch memory of a kernel, from the device's caching allocator: `slots` areas of `count` T, each
// on its own cache lines.
template <typename T>
class Scratch {
 public:
  Scratch(Stream& stream, int64_t slots, int64_t count)
      : stride_((count * static_cast<int64_t>(sizeof(T)) + 63) / 64 * 64),
        storage_(stream.device->shared_from_this(), static_cast<size_t>(stride_ * slots),
                 MemoryKind::activation) {}
  T* slot(int64_t i) const {
    void* memory = storage_.device()->for_kernels(storage_.data());
    return reinterpret_cast<T*>(static_cast<std::byte*>(memory) + i * stride_);
  }

 private:
  int64_t stride_;
  Storage storage_;
};

template <typename T>
const T* read_row(const View& view, int64_t begin, int64_t n, T* buffer) {
  if (view.dtype == DTypeOf<T>::value) return static_cast<const T*>(view.data) + begin;
  if constexpr (std::is_same_v<T, float>) {
    vec::to_f32(view.as<BF16>() + begin, buffer, n);
    return buffer;
  } else {
    view.as<T>();  // reports the wrong type
    return nullptr;
  }
}

// Where a row of results may be built: in place, or in the buffer, which write_row then converts.
template <typename T>
T* result_row(const View& view, int64_t begin, T* buffer) {
  return view.dtype == DTypeOf<T>::value ? static_cast<T*>(view.data) + begin : buffer;
}

template <typename T>
void write_row(const View& view, int64_t begin, int64_t n, const T* values) {
  if (view.dtype == DTypeOf<T>::value) {
    T* target = static_cast<T*>(view.data) + begin;
    for (int64_t i = 0; i < n && target != values; ++i) target[i] = values[i];
    return;
  }
  if constexpr (std::is_same_v<T, float>) {
    vec::to_bf16(values, view.as<BF16>() + begin, n);
  } else {
    view.as<T>();
  }
}

// Rows of n elements that one piece of work takes: a fixed rule, about 16k elements.
inline int64_t rows_per_piece(int64_t n) {
  const int64_t rows = n > 0 ? 16384 / n : 1;
  return rows < 1 ? 1 : rows > 256 ? 256 : rows;
}

// Calls f(first_row, last_row) for pieces of `per_piece` rows.
template <typename F>
void for_row_pieces(Stream& stream, int64_t rows, int64_t per_piece, F f) {
  const int64_t pieces = (rows + per_piece - 1) / per_piece;
  parallel_for(stream, pieces, [&](int64_t piece) {
    const int64_t first = piece * per_piece;
    f(first, first + per_piece < rows ? first + per_piece : rows);
  });
}

}  // namespace troupe::kernels::cpu
