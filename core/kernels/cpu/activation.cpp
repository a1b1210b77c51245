#include <algorithm>
#include <cmath>
#include <type_traits>

#include "core/kernels/cpu/block_loop.h"
#include "core/kernels/cpu/vector.h"
#include "core/kernels/dispatch.h"
#include "core/kernels/elementwise.h"

namespace troupe::kernels::cpu {
namespace {

constexpr double kSqrtHalf = 0.70710678118654752440;
constexpr double kInverseSqrt2Pi = 0.39894228040143267794;

template <typename T>
T sigmoid_of(T x) {
  return T(1) / (T(1) + std::exp(-x));
}
template <typename T>
T normal_cdf_of(T x) {
  return T(0.5) * std::erfc(-x * T(kSqrtHalf));
}
template <typename T>
T normal_density(T x) {
  return T(kInverseSqrt2Pi) * std::exp(T(-0.5) * x * x);
}

// gelu_tanh(x) = x sigmoid(gelu_tanh_inner(x)), as (1 + tanh(u)) / 2 = sigmoid(2 u).
constexpr double kGeluRoot = 1.59576912160573071176;  // 2 sqrt(2 / pi)
constexpr double kGeluCubic = 0.044715;

template <typename T>
T gelu_tanh_inner(T x) {
  return T(kGeluRoot) * (x + T(kGeluCubic) * x * x * x);
}
// The same and its derivative from m = sigmoid(-|gelu_tanh_inner(x)|), which is exact where the
// sigmoid itself is near one.
template <typename T>
T gelu_tanh_from(T x, T m) {
  return x * (x < T(0) ? m : T(1) - m);
}
template <typename T>
T gelu_tanh_slope(T x, T m) {
  const T s = x < T(0) ? m : T(1) - m;
  return s + x * m * (T(1) - m) * T(kGeluRoot) * (T(1) + 3 * T(kGeluCubic) * x * x);
}

// f(x[i], m, i) for all i; f may overwrite x[i].
template <typename F>
void with_gelu_sigmoid(const float* x, int64_t n, F f) {
  constexpr int64_t kPiece = 256;
  float m[kPiece];
  for (int64_t begin = 0; begin < n; begin += kPiece) {
    const int64_t count = std::min(kPiece, n - begin);
    for (int64_t i = 0; i < count; ++i) m[i] = -std::abs(gelu_tanh_inner(x[begin + i]));
    vec::sigmoid(m, m, count);
    for (int64_t i = 0; i < count; ++i) f(x[begin + i], m[i], begin + i);
  }
}

template <typename T>
T value_of(UnaryOp op, T x) {
  switch (op) {
    case UnaryOp::relu:
      return x < T(0) ? T(0) : x;  // keeps NaN
    case UnaryOp::squared_relu:
      return x < T(0) ? T(0) : x * x;
    case UnaryOp::sigmoid:
      return sigmoid_of(x);
    case UnaryOp::silu:
      return x * sigmoid_of(x);
    case UnaryOp::gelu:
      return x * normal_cdf_of(x);
    case UnaryOp::gelu_tanh:
      return gelu_tanh_from(x, sigmoid_of(-std::abs(gelu_tanh_inner(x))));
    case UnaryOp::tanh:
      return std::tanh(x);
    case UnaryOp::exp:
      return std::exp(x);
    case UnaryOp::log:
      return std::log(x);
    case UnaryOp::sqrt:
      return std::sqrt(x);
    case UnaryOp::square:
      return x * x;
    case UnaryOp::softplus:
      return x > T(0) ? x + std::log1p(std::exp(-x)) : std::log1p(std::exp(x));
    case UnaryOp::normal_cdf:
      return normal_cdf_of(x);
  }
  return x;
}

template <typename T>
T slope_of(UnaryOp op, T x) {
  switch (op) {
    case UnaryOp::relu:
      return x > T(0) ? T(1) : T(0);
    case UnaryOp::squared_relu:
      return x > T(0) ? 2 * x : T(0);
    case UnaryOp::sigmoid: {
      const T s = sigmoid_of(x);
      return s * (T(1) - s);
    }
    case UnaryOp::silu: {
      const T s = sigmoid_of(x);
      return s * (T(1) + x * (T(1) - s));
    }
    case UnaryOp::gelu:
      return normal_cdf_of(x) + x * normal_density(x);
    case UnaryOp::gelu_tanh:
      return gelu_tanh_slope(x, sigmoid_of(-std::abs(gelu_tanh_inner(x))));
    case UnaryOp::tanh: {
      const T t = std::tanh(x);
      return T(1) - t * t;
    }
    case UnaryOp::exp:
      return std::exp(x);
    case UnaryOp::log:
      return T(1) / x;
    case UnaryOp::sqrt:
      return T(0.5) / std::sqrt(x);
    case UnaryOp::square:
      return 2 * x;
    case UnaryOp::softplus:
      return sigmoid_of(x);
    case UnaryOp::normal_cdf:
      return normal_density(x);
  }
  return T(0);
}

struct Unary {
  UnaryOp op;
  void operator()(int64_t n, const double* const* in, double* const* out) const {
    for (int64_t i = 0; i < n; ++i) out[0][i] = value_of(op, in[0][i]);
  }
  void operator()(int64_t n, const float* const* in, float* const* out) const {
    switch (op) {
      case UnaryOp::sigmoid:
        return vec::sigmoid(in[0], out[0], n);
      case UnaryOp::silu:
        return vec::silu(in[0], out[0], n);
      case UnaryOp::gelu_tanh:
        return with_gelu_sigmoid(
            in[0], n, [&](float x, float m, int64_t i) { out[0][i] = gelu_tanh_from(x, m); });
      case UnaryOp::exp:
        return vec::exp(in[0], out[0], n);
      default:
        for (int64_t i = 0; i < n; ++i) out[0][i] = value_of(op, in[0][i]);
    }
  }
};

struct UnarySlope {
  UnaryOp op;
  void operator()(int64_t n, const double* const* in, double* const* out) const {
    for (int64_t i = 0; i < n; ++i) out[0][i] = in[1][i] * slope_of(op, in[0][i]);
  }
  void operator()(int64_t n, const float* const* in, float* const* out) const {
    if (op == UnaryOp::silu) return vec::silu_gradient(in[0], in[1], out[0], n);
    if (op == UnaryOp::gelu_tanh) {
      return with_gelu_sigmoid(in[0], n, [&](float x, float m, int64_t i) {
        out[0][i] = in[1][i] * gelu_tanh_slope(x, m);
      });
    }
    for (int64_t i = 0; i < n; ++i) out[0][i] = in[1][i] * slope_of(op, in[0][i]);
  }
};

struct Swiglu {
  void operator()(int64_t n, const double* const* in, double* const* out) const {
    for (int64_t i = 0; i < n; ++i) out[0][i] = in[0][i] * sigmoid_of(in[0][i]) * in[1][i];
  }
  void operator()(int64_t n, const float* const* in, float* const* out) const {
    vec::swiglu(in[0], in[1], out[0], n);
  }
};

struct SwigluSlope {
  void operator()(int64_t n, const double* const* in, double* const* out) const {
    for (int64_t i = 0; i < n; ++i) {
      const double gate = in[0][i];
      const double up = in[1][i];
      const double dy = in[2][i];
      out[0][i] = dy * up * slope_of(UnaryOp::silu, gate);
      out[1][i] = dy * gate * sigmoid_of(gate);
    }
  }
  void operator()(int64_t n, const float* const* in, float* const* out) const {
    vec::swiglu_gradient(in[0], in[1], in[2], out[0], out[1], n);
  }
};

}  // namespace

void unary(Stream& stream, UnaryOp op, View in, View out) {
  const Unary kernel{op};
  run_blocks(stream, {in}, {out}, block_kernel(kernel));
}

void unary_gradient(Stream& stream, UnaryOp op, View in, View out_gradient, View in_gradient) {
  const UnarySlope kernel{op};
  run_blocks(stream, {in, out_gradient}, {in_gradient}, block_kernel(kernel));
}

void swiglu(Stream& stream, View gate, View up, View out) {
  const Swiglu kernel;
  run_blocks(stream, {gate, up}, {out}, block_kernel(kernel));
}

void swiglu_gradient(Stream& stream, View gate, View up, View out_gradient, View gate_gradient,
                     View up_gradient) {
  const SwigluSlope kernel;
  run_blocks(stream, {gate, up, out_gradient}, {gate_gradient, up_gradient}, block_kernel(kernel));
}

}  // namespace troupe::kernels::cpu

namespace troupe::kernels {

void unary(Stream& stream, UnaryOp op, View in, View out) {
  on_device<cpu::unary>(stream, op, in, out);
}

void unary_gradient(Stream& stream, UnaryOp op, View in, View out_gradient, View in_gradient) {
  on_device<cpu::unary_gradient>(stream, op, in, out_gradient, in_gradient);
}

void swiglu(Stream& stream, View gate, View up, View out) {
  on_device<cpu::swiglu>(stream, gate, up, out);
}

void swiglu_gradient(Stream& stream, View gate, View up, View out_gradient, View gate_gradient,
                     View up_gradient) {
  on_device<cpu::swiglu_gradient>(stream, gate, up, out_gradient, gate_gradient, up_gradient);
}

}  // namespace troupe::kernels
