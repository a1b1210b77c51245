#include "core/kernels/cpu/swiglu_row.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "core/kernels/cpu/swiglu_row.cpp"
#include <hwy/foreach_target.h>
#include <hwy/highway.h>

#include "core/kernels/cpu/exp-inl.h"

HWY_BEFORE_NAMESPACE();
namespace troupe::kernels::cpu::HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;
using D = hn::ScalableTag<float>;
using V = hn::Vec<D>;

HWY_INLINE V load(const float* from) { return hn::LoadU(D(), from); }
HWY_INLINE V load(const BF16* from) {
  const D d;
  const hn::RebindToUnsigned<D> du;
  const hn::Rebind<uint16_t, D> d16;
  const auto half = hn::LoadU(d16, reinterpret_cast<const uint16_t*>(from));
  return hn::BitCast(d, hn::ShiftLeft<16>(hn::PromoteTo(du, half)));
}
HWY_INLINE void store(V v, float* to) { hn::StoreU(v, D(), to); }
HWY_INLINE void store(V v, BF16* to) {
  const hn::RebindToUnsigned<D> du;
  const hn::RebindToSigned<D> di;
  const hn::Rebind<uint16_t, D> d16;
  const auto word = hn::BitCast(du, v);
  const auto odd = hn::And(hn::ShiftRight<16>(word), hn::Set(du, 1U));
  const auto rounded = hn::ShiftRight<16>(hn::Add(word, hn::Add(odd, hn::Set(du, 0x7fffU))));
  const auto quiet = hn::Or(hn::ShiftRight<16>(word), hn::Set(du, 0x40U));
  const auto chosen = hn::IfThenElse(hn::RebindMask(du, hn::IsNaN(v)), quiet, rounded);
  hn::StoreU(hn::DemoteTo(d16, hn::BitCast(di, chosen)), d16, reinterpret_cast<uint16_t*>(to));
}

// Runs f on whole vectors, and on copies of what is left.
template <class T, class F>
HWY_INLINE void forward(const T* hidden, V weight, int64_t f, T* out, F swiglu) {
  const auto lanes = static_cast<int64_t>(hn::Lanes(D()));
  int64_t i = 0;
  for (; i + lanes <= f; i += lanes) {
    store(swiglu(load(hidden + i), load(hidden + f + i), weight), out + i);
  }
  if (i == f) return;
  T gate[hn::MaxLanes(D())] = {};
  T up[hn::MaxLanes(D())] = {};
  for (int64_t j = i; j < f; ++j) {
    gate[j - i] = hidden[j];
    up[j - i] = hidden[f + j];
  }
  store(swiglu(load(gate), load(up), weight), gate);
  for (int64_t j = i; j < f; ++j) out[j] = gate[j - i];
}

template <class T>
HWY_INLINE void Forward(const T* hidden, float weight, int64_t f, T* out) {
  forward(hidden, hn::Set(D(), weight), f, out, [](V gate, V up, V w) HWY_ATTR {
    return hn::Mul(hn::Mul(hn::Mul(gate, sigmoid_vector(D(), gate)), up), w);
  });
}

// One vector: hidden is overwritten by its gradient, the sum of the weight's gradient grows.
template <class T>
HWY_INLINE void gradient_step(T* gate_at, T* up_at, const T* gradient_at, V weight, T* out,
                              V& total) {
  const D d;
  const V gate = load(gate_at);
  const V up = load(up_at);
  const V gradient = load(gradient_at);
  const V s = sigmoid_vector(d, gate);
  const V silu = hn::Mul(gate, s);
  const V product = hn::Mul(silu, up);
  total = hn::MulAdd(gradient, product, total);
  const V weighted = hn::Mul(gradient, weight);
  const V one = hn::Set(d, 1.0f);
  const V slope = hn::Mul(s, hn::MulAdd(gate, hn::Sub(one, s), one));
  store(hn::Mul(hn::Mul(weighted, up), slope), gate_at);
  store(hn::Mul(weighted, silu), up_at);
  store(hn::Mul(product, weight), out);
}

template <class T>
HWY_INLINE float Gradient(T* hidden, float weight, const T* gradient, int64_t f, T* out) {
  const D d;
  const auto lanes = static_cast<int64_t>(hn::Lanes(d));
  const V w = hn::Set(d, weight);
  V total = hn::Zero(d);
  int64_t i = 0;
  for (; i + lanes <= f; i += lanes) {
    gradient_step(hidden + i, hidden + f + i, gradient + i, w, out + i, total);
  }
  if (i < f) {
    T gate[hn::MaxLanes(D())] = {};
    T up[hn::MaxLanes(D())] = {};
    T slope[hn::MaxLanes(D())] = {};
    T result[hn::MaxLanes(D())] = {};
    for (int64_t j = i; j < f; ++j) {
      gate[j - i] = hidden[j];
      up[j - i] = hidden[f + j];
      slope[j - i] = gradient[j];
    }
    gradient_step(gate, up, slope, w, result, total);
    for (int64_t j = i; j < f; ++j) {
      hidden[j] = gate[j - i];
      hidden[f + j] = up[j - i];
      out[j] = result[j - i];
    }
  }
  return hn::GetLane(hn::SumOfLanes(d, total));
}

void ForwardF32(const float* hidden, float weight, int64_t f, float* out) {
  Forward(hidden, weight, f, out);
}
void ForwardBF16(const BF16* hidden, float weight, int64_t f, BF16* out) {
  Forward(hidden, weight, f, out);
}
float GradientF32(float* hidden, float weight, const float* gradient, int64_t f, float* out) {
  return Gradient(hidden, weight, gradient, f, out);
}
float GradientBF16(BF16* hidden, float weight, const BF16* gradient, int64_t f, BF16* out) {
  return Gradient(hidden, weight, gradient, f, out);
}

}  // namespace troupe::kernels::cpu::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
#include <cmath>

namespace troupe::kernels::cpu {
HWY_EXPORT(ForwardF32);
HWY_EXPORT(ForwardBF16);
HWY_EXPORT(GradientF32);
HWY_EXPORT(GradientBF16);

namespace {

double sigmoid(double x) { return 1.0 / (1.0 + std::exp(-x)); }

void forward_f64(const double* hidden, double weight, int64_t f, double* out) {
  for (int64_t i = 0; i < f; ++i) {
    out[i] = weight * hidden[i] * sigmoid(hidden[i]) * hidden[f + i];
  }
}

double gradient_f64(double* hidden, double weight, const double* gradient, int64_t f, double* out) {
  double total = 0;
  for (int64_t i = 0; i < f; ++i) {
    const double gate = hidden[i];
    const double up = hidden[f + i];
    const double s = sigmoid(gate);
    const double product = gate * s * up;
    total += gradient[i] * product;
    hidden[i] = gradient[i] * weight * up * s * (1 + gate * (1 - s));
    hidden[f + i] = gradient[i] * weight * gate * s;
    out[i] = weight * product;
  }
  return total;
}

}  // namespace

void swiglu_row(DType dtype, const void* hidden, double weight, int64_t f, void* out) {
  const auto w = static_cast<float>(weight);
  switch (dtype) {
    case DType::f64:
      return forward_f64(static_cast<const double*>(hidden), weight, f, static_cast<double*>(out));
    case DType::bf16:
      return HWY_DYNAMIC_DISPATCH(ForwardBF16)(static_cast<const BF16*>(hidden), w, f,
                                               static_cast<BF16*>(out));
    default:
      return HWY_DYNAMIC_DISPATCH(ForwardF32)(static_cast<const float*>(hidden), w, f,
                                              static_cast<float*>(out));
  }
}

double swiglu_row_gradient(DType dtype, void* hidden, double weight, const void* gradient,
                           int64_t f, void* out) {
  const auto w = static_cast<float>(weight);
  switch (dtype) {
    case DType::f64:
      return gradient_f64(static_cast<double*>(hidden), weight,
                          static_cast<const double*>(gradient), f, static_cast<double*>(out));
    case DType::bf16:
      return HWY_DYNAMIC_DISPATCH(GradientBF16)(static_cast<BF16*>(hidden), w,
                                                static_cast<const BF16*>(gradient), f,
                                                static_cast<BF16*>(out));
    default:
      return HWY_DYNAMIC_DISPATCH(GradientF32)(static_cast<float*>(hidden), w,
                                               static_cast<const float*>(gradient), f,
                                               static_cast<float*>(out));
  }
}

}  // namespace troupe::kernels::cpu
#endif
