#include "core/kernels/position.h"

#include "core/kernels/cpu/row_access.h"
#include "core/kernels/dispatch.h"

namespace troupe::kernels::cpu {
namespace {

template <typename T>
void rope_as(Stream& stream, View x, View cosine, View sine, View positions, bool inverse, View y) {
  const int64_t heads = x.dim(1);
  const int64_t size = x.dim(2);
  const int64_t half = size / 2;
  const T sign = inverse ? T(-1) : T(1);
  // Heads that lie next to each other are converted together.
  const int64_t together = x.strides[1] == size ? heads : 1;
  const int64_t n = together * size;
  const Scratch<T> scratch(stream, stream.threads, 2 * n);
  for_row_pieces(stream, x.dim(0), rows_per_piece(heads * size), [&](int64_t first, int64_t last) {
    T* buffer = scratch.slot(thread_index());
    for (int64_t t = first; t < last; ++t) {
      const int64_t position = positions.as<int32_t>()[t];
      const T* c = cosine.as<T>() + position * half;
      const T* s = sine.as<T>() + position * half;
      for (int64_t h = 0; h < heads; h += together) {
        const T* in = read_row<T>(x, t * x.strides[0] + h * x.strides[1], n, buffer);
        const int64_t at = (t * heads + h) * size;
        T* out = result_row<T>(y, at, buffer + n);
        for (int64_t i = 0; i < n; i += size) vec::rotate(in + i, c, s, sign, half, out + i);
        write_row<T>(y, at, n, out);
      }
    }
  });
}

template <typename T>
void dropout_as(Stream& stream, View x, double rate, const Random& random, View rows, View y) {
  const int64_t n = x.dim(1);
  const auto limit = static_cast<uint64_t>(rate * 0x1.0p32);
  const T keep = static_cast<T>(1.0 / (1.0 - rate));
  const Scratch<T> scratch(stream, stream.threads, 2 * n);
  for_row_pieces(stream, x.dim(0), rows_per_piece(n), [&](int64_t first, int64_t last) {
    T* buffer = scratch.slot(thread_index());
    for (int64_t t = first; t < last; ++t) {
      const auto index = static_cast<uint64_t>(rows.as<int64_t>()[t]);
      const T* in = read_row<T>(x, t * n, n, buffer);
      T* out = result_row<T>(y, t * n, buffer + n);
      for (int64_t d = 0; d < n; d += 4) {
        const auto draws = random.block(index, static_cast<uint64_t>(d / 4));
        for (int64_t i = d; i < n && i < d + 4; ++i) {
          out[i] = draws[static_cast<size_t>(i - d)] < limit ? T(0) : in[i] * keep;
        }
      }
      write_row<T>(y, t * n, n, out);
    }
  });
}

}  // namespace

void rope(Stream& stream, View x, View cosine, View sine, View positions, bool inverse, View y) {
  if (x.dtype == DType::f64) {
    return rope_as<double>(stream, x, cosine, sine, positions, inverse, y);
  }
  rope_as<float>(stream, x, cosine, sine, positions, inverse, y);
}

void dropout(Stream& stream, View x, double rate, const Random& random, View rows, View y) {
  if (x.dtype == DType::f64) return dropout_as<double>(stream, x, rate, random, rows, y);
  dropout_as<float>(stream, x, rate, random, rows, y);
}

}  // namespace troupe::kernels::cpu

namespace troupe::kernels {

void rope(Stream& stream, View x, View cosine, View sine, View positions, bool inverse, View y) {
  on_device<cpu::rope>(stream, x, cosine, sine, positions, inverse, y);
}

void dropout(Stream& stream, View x, double rate, const Random& random, View rows, View y) {
  on_device<cpu::dropout>(stream, x, rate, random, rows, y);
}

}  // namespace troupe::kernels
