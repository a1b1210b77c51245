#include "core/kernels/norm.h"

#include <algorithm>
#include <cmath>

#include "core/kernels/cpu/row_access.h"
#include "core/kernels/dispatch.h"

namespace troupe::kernels::cpu {
namespace {

constexpr int64_t kChunkRows = 64;  // rows of one partial weight gradient

// Calls f(row, buffer) for every row; buffer: three rows of n of the calling thread.
template <typename T, typename F>
void for_rows(Stream& stream, int64_t rows, int64_t n, F f) {
  const Scratch<T> scratch(stream, stream.threads, 3 * n);
  for_row_pieces(stream, rows, rows_per_piece(n), [&](int64_t first, int64_t last) {
    T* buffer = scratch.slot(thread_index());
    for (int64_t row = first; row < last; ++row) f(row, buffer);
  });
}

// out [n] = (or +=) the sum over rows of what add(row, sums, buffer) adds to sums [n].
template <typename T, typename F>
void sum_over_rows(Stream& stream, int64_t rows, int64_t n, View out, bool accumulate, F add) {
  const int64_t chunks = (rows + kChunkRows - 1) / kChunkRows;
  const Scratch<T> partial(stream, chunks + 1, n);
  const Scratch<T> buffers(stream, stream.threads, 2 * n);
  for_row_pieces(stream, rows, kChunkRows, [&](int64_t first, int64_t last) {
    T* sums = partial.slot(first / kChunkRows);
    std::fill(sums, sums + n, T(0));
    T* buffer = buffers.slot(thread_index());
    for (int64_t row = first; row < last; ++row) add(row, sums, buffer);
  });
  T* total = partial.slot(chunks);
  std::fill(total, total + n, T(0));
  for (int64_t chunk = 0; chunk < chunks; ++chunk) {
    const T* sums = partial.slot(chunk);
    for (int64_t i = 0; i < n; ++i) total[i] += sums[i];
  }
  T* target = out.as<T>();
  for (int64_t i = 0; i < n; ++i) target[i] = accumulate ? target[i] + total[i] : total[i];
}

template <typename T>
void rms_norm_as(Stream& stream, View x, View weight, double eps, View y, View r) {
  const int64_t n = x.dim(1);
  const T* w = weight.as<T>();
  for_rows<T>(stream, x.dim(0), n, [&](int64_t row, T* buffer) {
    const T* in = read_row<T>(x, row * n, n, buffer);
    T* out = result_row<T>(y, row * n, buffer + n);
    const T rstd = T(1) / std::sqrt(vec::dot(in, in, n) / static_cast<T>(n) + static_cast<T>(eps));
    r.as<T>()[row] = rstd;
    for (int64_t i = 0; i < n; ++i) out[i] = in[i] * rstd * w[i];
    write_row<T>(y, row * n, n, out);
  });
}

// dx = r (w dy - x r^2 mean(w dy x))
template <typename T>
void rms_norm_gradient_as(Stream& stream, View x, View weight, View r, View dy, View dx) {
  const int64_t n = x.dim(1);
  const T* w = weight.as<T>();
  for_rows<T>(stream, x.dim(0), n, [&](int64_t row, T* buffer) {
    const T* in = read_row<T>(x, row * n, n, buffer);
    const T* g = read_row<T>(dy, row * n, n, buffer + n);
    T* out = buffer + 2 * n;
    for (int64_t i = 0; i < n; ++i) out[i] = w[i] * g[i];
    const T rstd = r.as<T>()[row];
    const T pull = vec::dot(out, in, n) / static_cast<T>(n) * rstd * rstd * rstd;
    for (int64_t i = 0; i < n; ++i) out[i] = rstd * out[i] - pull * in[i];
    write_row<T>(dx, row * n, n, out);
  });
}

template <typename T>
void rms_norm_weight_gradient_as(Stream& stream, View x, View r, View dy, View dw,
                                 bool accumulate) {
  const int64_t n = x.dim(1);
  sum_over_rows<T>(stream, x.dim(0), n, dw, accumulate, [&](int64_t row, T* sums, T* buffer) {
    const T* in = read_row<T>(x, row * n, n, buffer);
    const T* g = read_row<T>(dy, row * n, n, buffer + n);
    const T rstd = r.as<T>()[row];
    for (int64_t i = 0; i < n; ++i) sums[i] += g[i] * in[i] * rstd;
  });
}

template <typename T>
void layer_norm_as(Stream& stream, View x, View weight, View bias, double eps, View y, View m,
                   View r) {
  const int64_t n = x.dim(1);
  const T* w = weight.as<T>();
  const T* b = bias.as<T>();
  for_rows<T>(stream, x.dim(0), n, [&](int64_t row, T* buffer) {
    const T* in = read_row<T>(x, row * n, n, buffer);
    T* out = buffer + n;
    const T mean = vec::sum(in, n) / static_cast<T>(n);
    for (int64_t i = 0; i < n; ++i) out[i] = in[i] - mean;
    const T rstd =
        T(1) / std::sqrt(vec::dot(out, out, n) / static_cast<T>(n) + static_cast<T>(eps));
    m.as<T>()[row] = mean;
    r.as<T>()[row] = rstd;
    for (int64_t i = 0; i < n; ++i) out[i] = out[i] * rstd * w[i] + b[i];
    write_row<T>(y, row * n, n, out);
  });
}

// dx = r (g - mean(g) - h mean(g h)) with g = w dy and h = (x - m) r
template <typename T>
void layer_norm_gradient_as(Stream& stream, View x, View weight, View m, View r, View dy, View dx) {
  const int64_t n = x.dim(1);
  const T* w = weight.as<T>();
  for_rows<T>(stream, x.dim(0), n, [&](int64_t row, T* buffer) {
    const T* in = read_row<T>(x, row * n, n, buffer);
    const T* g = read_row<T>(dy, row * n, n, buffer + n);
    T* out = buffer + 2 * n;
    for (int64_t i = 0; i < n; ++i) out[i] = w[i] * g[i];
    const T rstd = r.as<T>()[row];
    const T mean = m.as<T>()[row];
    const T average = vec::sum(out, n) / static_cast<T>(n);
    const T along = (vec::dot(out, in, n) / static_cast<T>(n) - mean * average) * rstd;
    for (int64_t i = 0; i < n; ++i) {
      out[i] = rstd * (out[i] - average - (in[i] - mean) * rstd * along);
    }
    write_row<T>(dx, row * n, n, out);
  });
}

template <typename T>
void layer_norm_weight_gradient_as(Stream& stream, View x, View m, View r, View dy, View dw,
                                   bool accumulate) {
  const int64_t n = x.dim(1);
  sum_over_rows<T>(stream, x.dim(0), n, dw, accumulate, [&](int64_t row, T* sums, T* buffer) {
    const T* in = read_row<T>(x, row * n, n, buffer);
    const T* g = read_row<T>(dy, row * n, n, buffer + n);
    const T rstd = r.as<T>()[row];
    const T mean = m.as<T>()[row];
    for (int64_t i = 0; i < n; ++i) sums[i] += g[i] * ((in[i] - mean) * rstd);
  });
}

template <typename T>
void bias_gradient_as(Stream& stream, View dy, View db, bool accumulate) {
  const int64_t n = dy.dim(1);
  sum_over_rows<T>(stream, dy.dim(0), n, db, accumulate, [&](int64_t row, T* sums, T* buffer) {
    const T* g = read_row<T>(dy, row * n, n, buffer);
    for (int64_t i = 0; i < n; ++i) sums[i] += g[i];
  });
}

}  // namespace

void rms_norm(Stream& stream, View x, View weight, double eps, View y, View r) {
  if (x.dtype == DType::f64) return rms_norm_as<double>(stream, x, weight, eps, y, r);
  rms_norm_as<float>(stream, x, weight, eps, y, r);
}
void rms_norm_gradient(Stream& stream, View x, View weight, View r, View dy, View dx) {
  if (x.dtype == DType::f64) return rms_norm_gradient_as<double>(stream, x, weight, r, dy, dx);
  rms_norm_gradient_as<float>(stream, x, weight, r, dy, dx);
}
void rms_norm_weight_gradient(Stream& stream, View x, View r, View dy, View dw, bool accumulate) {
  if (x.dtype == DType::f64) {
    return rms_norm_weight_gradient_as<double>(stream, x, r, dy, dw, accumulate);
  }
  rms_norm_weight_gradient_as<float>(stream, x, r, dy, dw, accumulate);
}
void layer_norm(Stream& stream, View x, View weight, View bias, double eps, View y, View m,
                View r) {
  if (x.dtype == DType::f64) return layer_norm_as<double>(stream, x, weight, bias, eps, y, m, r);
  layer_norm_as<float>(stream, x, weight, bias, eps, y, m, r);
}
void layer_norm_gradient(Stream& stream, View x, View weight, View m, View r, View dy, View dx) {
  if (x.dtype == DType::f64) return layer_norm_gradient_as<double>(stream, x, weight, m, r, dy, dx);
  layer_norm_gradient_as<float>(stream, x, weight, m, r, dy, dx);
}
void layer_norm_weight_gradient(Stream& stream, View x, View m, View r, View dy, View dw,
                                bool accumulate) {
  if (x.dtype == DType::f64) {
    return layer_norm_weight_gradient_as<double>(stream, x, m, r, dy, dw, accumulate);
  }
  layer_norm_weight_gradient_as<float>(stream, x, m, r, dy, dw, accumulate);
}
void bias_gradient(Stream& stream, View dy, View db, bool accumulate) {
  if (dy.dtype == DType::f64) return bias_gradient_as<double>(stream, dy, db, accumulate);
  bias_gradient_as<float>(stream, dy, db, accumulate);
}

}  // namespace troupe::kernels::cpu

namespace troupe::kernels {

void rms_norm(Stream& stream, View x, View weight, double eps, View y, View r) {
  on_device<cpu::rms_norm>(stream, x, weight, eps, y, r);
}

void rms_norm_gradient(Stream& stream, View x, View weight, View r, View dy, View dx) {
  on_device<cpu::rms_norm_gradient>(stream, x, weight, r, dy, dx);
}

void rms_norm_weight_gradient(Stream& stream, View x, View r, View dy, View dw, bool accumulate) {
  on_device<cpu::rms_norm_weight_gradient>(stream, x, r, dy, dw, accumulate);
}

void layer_norm(Stream& stream, View x, View weight, View bias, double eps, View y, View m,
                View r) {
  on_device<cpu::layer_norm>(stream, x, weight, bias, eps, y, m, r);
}

void layer_norm_gradient(Stream& stream, View x, View weight, View m, View r, View dy, View dx) {
  on_device<cpu::layer_norm_gradient>(stream, x, weight, m, r, dy, dx);
}

void layer_norm_weight_gradient(Stream& stream, View x, View m, View r, View dy, View dw,
                                bool accumulate) {
  on_device<cpu::layer_norm_weight_gradient>(stream, x, m, r, dy, dw, accumulate);
}

void bias_gradient(Stream& stream, View dy, View db, bool accumulate) {
  on_device<cpu::bias_gradient>(stream, dy, db, accumulate);
}

}  // namespace troupe::kernels
