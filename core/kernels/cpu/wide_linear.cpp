#include "core/kernels/wide_linear.h"

#include <algorithm>

#include "core/base/error.h"
#include "core/device/cpu/parallel_for.h"
#include "core/kernels/cpu/product.h"
#include "core/kernels/cpu/vector.h"
#include "core/kernels/dispatch.h"

namespace troupe::kernels::cpu {
namespace {

// A piece of rows [kRows, I] in the wide type fits the L2 cache for the usual I.
constexpr int64_t kRows = 128;
// Columns of the weight gradient that one piece sums over all rows.
constexpr int64_t kColumns = 64;

void widen(const BF16* from, float* to, int64_t n) { vec::to_f32(from, to, n); }
void widen(const BF16* from, double* to, int64_t n) {
  for (int64_t i = 0; i < n; ++i) to[i] = static_cast<float>(from[i]);
}
void widen(const float* from, double* to, int64_t n) { std::copy(from, from + n, to); }

void narrow(const float* from, BF16* to, int64_t n) { vec::to_bf16(from, to, n); }
void narrow(const double* from, BF16* to, int64_t n) {
  for (int64_t i = 0; i < n; ++i) to[i] = BF16(static_cast<float>(from[i]));
}
void narrow(const double* from, float* to, int64_t n) {
  for (int64_t i = 0; i < n; ++i) to[i] = static_cast<float>(from[i]);
}

// Calls f.template operator()<X, T>() with the narrow and the wide type.
template <typename F>
void by_types(DType narrow, DType wide, F&& f) {
  if (narrow == DType::bf16 && wide == DType::f32) return f.template operator()<BF16, float>();
  if (narrow == DType::bf16 && wide == DType::f64) return f.template operator()<BF16, double>();
  if (narrow == DType::f32 && wide == DType::f64) return f.template operator()<float, double>();
  fail(ExitCode::internal, "rows of {} with a matrix of {}", name(narrow), name(wide));
}

void check(const View& x, const View& weight, const View& y) {
  require(x.contiguous() && weight.contiguous() && y.contiguous() && weight.dtype == y.dtype &&
              x.dim(0) == y.dim(0) && x.dim(1) == weight.dim(1) && y.dim(1) == weight.dim(0),
          "rows {} with a matrix {} of {} into {} of {}", x.shape.text(), weight.shape.text(),
          name(weight.dtype), y.shape.text(), name(y.dtype));
}

ProductShape shape_of(int64_t m, int64_t n, int64_t k, DType type) {
  ProductShape shape;
  shape.m = m;
  shape.n = n;
  shape.k = k;
  shape.in = shape.out = type;
  return shape;
}

// Calls f(first, rows) for pieces of at most kRows rows.
template <typename F>
void for_pieces(Stream& stream, int64_t rows, F&& f) {
  parallel_for(stream, (rows + kRows - 1) / kRows, [&](int64_t piece) {
    const int64_t first = piece * kRows;
    f(first, std::min(kRows, rows - first));
  });
}

template <typename X, typename T>
void forward_as(Stream& stream, const View& x, const View& weight, const View& y) {
  Device& device = *stream.device;
  const int64_t in = x.dim(1);
  const int64_t out = y.dim(1);
  for_pieces(stream, x.dim(0), [&](int64_t first, int64_t rows) {
    auto* wide =
        static_cast<T*>(thread_scratch(device, kRows * in * static_cast<int64_t>(sizeof(T))));
    widen(x.as<X>() + first * in, wide, rows * in);
    ProductShape shape = shape_of(rows, out, in, y.dtype);
    shape.lda = shape.ldb = std::max<int64_t>(in, 1);
    shape.ldc = std::max<int64_t>(out, 1);
    shape.transpose_b = true;
    run(product(device, shape), wide, weight.data, y.as<T>() + first * out);
  });
}

template <typename X, typename T>
void input_gradient_as(Stream& stream, const View& dy, const View& weight, const View& dx) {
  Device& device = *stream.device;
  const int64_t in = dx.dim(1);
  const int64_t out = dy.dim(1);
  for_pieces(stream, dx.dim(0), [&](int64_t first, int64_t rows) {
    auto* wide =
        static_cast<T*>(thread_scratch(device, kRows * in * static_cast<int64_t>(sizeof(T))));
    ProductShape shape = shape_of(rows, in, out, dy.dtype);
    shape.lda = std::max<int64_t>(out, 1);
    shape.ldb = shape.ldc = std::max<int64_t>(in, 1);
    run(product(device, shape), dy.as<T>() + first * out, weight.data, wide);
    narrow(wide, dx.as<X>() + first * in, rows * in);
  });
}

template <typename X, typename T>
void weight_gradient_as(Stream& stream, const View& dy, const View& x, const View& gradient,
                        bool accumulate) {
  Device& device = *stream.device;
  const int64_t in = x.dim(1);
  const int64_t out = dy.dim(1);
  const int64_t rows = x.dim(0);
  parallel_for(stream, (in + kColumns - 1) / kColumns, [&](int64_t piece) {
    const int64_t column = piece * kColumns;
    const int64_t columns = std::min(kColumns, in - column);
    auto* wide =
        static_cast<T*>(thread_scratch(device, kRows * kColumns * static_cast<int64_t>(sizeof(T))));
    // Without rows one empty product writes the zeros.
    for (int64_t first = 0; first == 0 || first < rows; first += kRows) {
      const int64_t count = std::min(kRows, rows - first);
      for (int64_t r = 0; r < count; ++r)
        widen(x.as<X>() + (first + r) * in + column, wide + r * columns, columns);
      ProductShape shape = shape_of(out, columns, count, dy.dtype);
      shape.lda = std::max<int64_t>(out, 1);
      shape.transpose_a = true;
      shape.ldb = columns;
      shape.ldc = in;
      shape.accumulate = accumulate || first > 0;
      run(product(device, shape), dy.as<T>() + first * out, wide, gradient.as<T>() + column);
    }
  });
}

}  // namespace

void wide_linear(Stream& stream, View x, View weight, View y) {
  check(x, weight, y);
  by_types(x.dtype, y.dtype,
           [&]<typename X, typename T>() { forward_as<X, T>(stream, x, weight, y); });
}

void wide_linear_input_gradient(Stream& stream, View dy, View weight, View dx) {
  check(dx, weight, dy);
  by_types(dx.dtype, dy.dtype,
           [&]<typename X, typename T>() { input_gradient_as<X, T>(stream, dy, weight, dx); });
}

void wide_linear_weight_gradient(Stream& stream, View dy, View x, View gradient, bool accumulate) {
  check(x, gradient, dy);
  by_types(x.dtype, dy.dtype, [&]<typename X, typename T>() {
    weight_gradient_as<X, T>(stream, dy, x, gradient, accumulate);
  });
}

}  // namespace troupe::kernels::cpu

namespace troupe::kernels {

void wide_linear(Stream& stream, View x, View weight, View y) {
  on_device<cpu::wide_linear>(stream, x, weight, y);
}

void wide_linear_input_gradient(Stream& stream, View dy, View weight, View dx) {
  on_device<cpu::wide_linear_input_gradient>(stream, dy, weight, dx);
}

void wide_linear_weight_gradient(Stream& stream, View dy, View x, View gradient, bool accumulate) {
  on_device<cpu::wide_linear_weight_gradient>(stream, dy, x, gradient, accumulate);
}

}  // namespace troupe::kernels
