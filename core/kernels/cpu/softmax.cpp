#include "core/kernels/softmax.h"

#include <cmath>
#include <limits>

#include "core/kernels/cpu/row_access.h"
#include "core/kernels/dispatch.h"

namespace troupe::kernels::cpu {
namespace {

// Calls f(row, buffers) on every row; buffers: three rows of n of the calling thread.
template <typename T, typename F>
void for_rows(Stream& stream, int64_t rows, int64_t n, F f) {
  const Scratch<T> scratch(stream, stream.threads, 3 * n);
  for_row_pieces(stream, rows, rows_per_piece(n), [&](int64_t first, int64_t last) {
    T* buffer = scratch.slot(thread_index());
    for (int64_t row = first; row < last; ++row) f(row, buffer);
  });
}

template <typename T>
T log_of_sum(const T* x, int64_t n, T* buffer) {
  const T top = vec::max(x, n);
  if (top == -std::numeric_limits<T>::infinity()) return top;
  return top + std::log(vec::exp_shifted(x, top, buffer, n));
}

template <typename T>
void softmax_as(Stream& stream, View x, View y) {
  const int64_t n = x.dim(1);
  for_rows<T>(stream, x.dim(0), n, [&](int64_t row, T* buffer) {
    const T* in = read_row<T>(x, row * n, n, buffer);
    T* out = result_row<T>(y, row * n, buffer + n);
    const T top = vec::max(in, n);
    if (top == -std::numeric_limits<T>::infinity()) {
      for (int64_t i = 0; i < n; ++i) out[i] = 0;
    } else {
      const T total = vec::exp_shifted(in, top, out, n);
      vec::scale(T(1) / total, out, out, n);
    }
    write_row<T>(y, row * n, n, out);
  });
}

template <typename T>
void softmax_gradient_as(Stream& stream, View y, View dy, View dx) {
  const int64_t n = y.dim(1);
  for_rows<T>(stream, y.dim(0), n, [&](int64_t row, T* buffer) {
    const T* p = read_row<T>(y, row * n, n, buffer);
    const T* g = read_row<T>(dy, row * n, n, buffer + n);
    T* out = result_row<T>(dx, row * n, buffer + 2 * n);
    const T inner = vec::dot(p, g, n);
    for (int64_t i = 0; i < n; ++i) out[i] = p[i] * (g[i] - inner);
    write_row<T>(dx, row * n, n, out);
  });
}

template <typename T>
void log_softmax_as(Stream& stream, View x, View y) {
  const int64_t n = x.dim(1);
  for_rows<T>(stream, x.dim(0), n, [&](int64_t row, T* buffer) {
    const T* in = read_row<T>(x, row * n, n, buffer);
    T* out = result_row<T>(y, row * n, buffer + n);
    const T lse = log_of_sum(in, n, buffer + 2 * n);
    for (int64_t i = 0; i < n; ++i) out[i] = in[i] - lse;
    write_row<T>(y, row * n, n, out);
  });
}

template <typename T>
void log_softmax_gradient_as(Stream& stream, View y, View dy, View dx) {
  const int64_t n = y.dim(1);
  for_rows<T>(stream, y.dim(0), n, [&](int64_t row, T* buffer) {
    const T* logs = read_row<T>(y, row * n, n, buffer);
    const T* g = read_row<T>(dy, row * n, n, buffer + n);
    T* p = buffer + 2 * n;
    vec::exp_shifted(logs, T(0), p, n);
    const T total = vec::sum(g, n);
    for (int64_t i = 0; i < n; ++i) p[i] = g[i] - p[i] * total;
    write_row<T>(dx, row * n, n, p);
  });
}

template <typename T>
void logsumexp_as(Stream& stream, View x, View y) {
  const int64_t n = x.dim(1);
  for_rows<T>(stream, x.dim(0), n, [&](int64_t row, T* buffer) {
    const T* in = read_row<T>(x, row * n, n, buffer);
    const T lse = log_of_sum(in, n, buffer + n);
    write_row<T>(y, row, 1, &lse);
  });
}

template <typename T>
void logsumexp_gradient_as(Stream& stream, View x, View y, View dy, View dx) {
  const int64_t n = x.dim(1);
  for_rows<T>(stream, x.dim(0), n, [&](int64_t row, T* buffer) {
    const T* in = read_row<T>(x, row * n, n, buffer);
    T one[2];
    const T lse = *read_row<T>(y, row, 1, one);
    const T g = *read_row<T>(dy, row, 1, one + 1);
    T* out = buffer + n;
    if (lse == -std::numeric_limits<T>::infinity()) {
      for (int64_t i = 0; i < n; ++i) out[i] = 0;
    } else {
      vec::exp_shifted(in, lse, out, n);
      vec::scale(g, out, out, n);
    }
    write_row<T>(dx, row * n, n, out);
  });
}

}  // namespace

void softmax(Stream& stream, View x, View y) {
  if (x.dtype == DType::f64) return softmax_as<double>(stream, x, y);
  softmax_as<float>(stream, x, y);
}
void softmax_gradient(Stream& stream, View y, View dy, View dx) {
  if (y.dtype == DType::f64) return softmax_gradient_as<double>(stream, y, dy, dx);
  softmax_gradient_as<float>(stream, y, dy, dx);
}
void log_softmax(Stream& stream, View x, View y) {
  if (x.dtype == DType::f64) return log_softmax_as<double>(stream, x, y);
  log_softmax_as<float>(stream, x, y);
}
void log_softmax_gradient(Stream& stream, View y, View dy, View dx) {
  if (y.dtype == DType::f64) return log_softmax_gradient_as<double>(stream, y, dy, dx);
  log_softmax_gradient_as<float>(stream, y, dy, dx);
}
void logsumexp(Stream& stream, View x, View y) {
  if (x.dtype == DType::f64) return logsumexp_as<double>(stream, x, y);
  logsumexp_as<float>(stream, x, y);
}
void logsumexp_gradient(Stream& stream, View x, View y, View dy, View dx) {
  if (x.dtype == DType::f64) return logsumexp_gradient_as<double>(stream, x, y, dy, dx);
  logsumexp_gradient_as<float>(stream, x, y, dy, dx);
}

}  // namespace troupe::kernels::cpu

namespace troupe::kernels {

void softmax(Stream& stream, View x, View y) { on_device<cpu::softmax>(stream, x, y); }

void softmax_gradient(Stream& stream, View y, View dy, View dx) {
  on_device<cpu::softmax_gradient>(stream, y, dy, dx);
}

void log_softmax(Stream& stream, View x, View y) { on_device<cpu::log_softmax>(stream, x, y); }

void log_softmax_gradient(Stream& stream, View y, View dy, View dx) {
  on_device<cpu::log_softmax_gradient>(stream, y, dy, dx);
}

void logsumexp(Stream& stream, View x, View y) { on_device<cpu::logsumexp>(stream, x, y); }

void logsumexp_gradient(Stream& stream, View x, View y, View dy, View dx) {
  on_device<cpu::logsumexp_gradient>(stream, x, y, dy, dx);
}

}  // namespace troupe::kernels
