#include "core/kernels/cpu/vector.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "core/kernels/cpu/vector.cpp"
#include <hwy/foreach_target.h>
#include <hwy/highway.h>

#include "core/kernels/cpu/exp-inl.h"

HWY_BEFORE_NAMESPACE();
namespace troupe::kernels::cpu::HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;
using D = hn::ScalableTag<float>;
using V = hn::Vec<D>;

// Calls whole(i) for whole vectors and rest(i, count) for what is left.
template <class Whole, class Rest>
HWY_INLINE void for_vectors(int64_t n, Whole whole, Rest rest) {
  const int64_t lanes = static_cast<int64_t>(hn::Lanes(D()));
  int64_t i = 0;
  for (; i + lanes <= n; i += lanes) whole(i);
  if (i < n) rest(i, n - i);
}

HWY_INLINE V load_part(const float* x, int64_t count) {
  HWY_ALIGN float buffer[hn::MaxLanes(D())] = {};
  for (int64_t j = 0; j < count; ++j) buffer[j] = x[j];
  return hn::Load(D(), buffer);
}

HWY_INLINE void store_part(V v, float* out, int64_t count) {
  HWY_ALIGN float buffer[hn::MaxLanes(D())];
  hn::Store(v, D(), buffer);
  for (int64_t j = 0; j < count; ++j) out[j] = buffer[j];
}

// out[i] = f(x[i])
template <class F>
HWY_INLINE void map(const float* x, float* out, int64_t n, F f) {
  const D d;
  for_vectors(
      n, [&](int64_t i) HWY_ATTR { hn::StoreU(f(hn::LoadU(d, x + i)), d, out + i); },
      [&](int64_t i, int64_t count)
          HWY_ATTR { store_part(f(load_part(x + i, count)), out + i, count); });
}

HWY_INLINE V load_wide(const BF16* x) {
  const D d;
  const hn::Rebind<uint16_t, D> d16;
  const hn::RebindToUnsigned<D> du;
  const auto half = hn::LoadU(d16, reinterpret_cast<const uint16_t*>(x));
  return hn::BitCast(d, hn::ShiftLeft<16>(hn::PromoteTo(du, half)));
}

void ToF32(const BF16* in, float* out, int64_t n) {
  for_vectors(
      n, [&](int64_t i) HWY_ATTR { hn::StoreU(load_wide(in + i), D(), out + i); },
      [&](int64_t i, int64_t count) {
        for (int64_t j = i; j < i + count; ++j) out[j] = static_cast<float>(in[j]);
      });
}

void ScaleBF16(float a, const BF16* x, float* out, int64_t n) {
  const V factor = hn::Set(D(), a);
  for_vectors(
      n, [&](int64_t i) HWY_ATTR { hn::StoreU(hn::Mul(factor, load_wide(x + i)), D(), out + i); },
      [&](int64_t i, int64_t count) {
        for (int64_t j = i; j < i + count; ++j) out[j] = a * static_cast<float>(x[j]);
      });
}

void AxpyBF16(float a, const BF16* x, float* y, int64_t n) {
  const D d;
  const V factor = hn::Set(d, a);
  for_vectors(
      n,
      [&](int64_t i) HWY_ATTR {
        hn::StoreU(hn::MulAdd(factor, load_wide(x + i), hn::LoadU(d, y + i)), d, y + i);
      },
      [&](int64_t i, int64_t count) {
        for (int64_t j = i; j < i + count; ++j) y[j] += a * static_cast<float>(x[j]);
      });
}

void ToBF16(const float* in, BF16* out, int64_t n) {
  const D d;
  const hn::Rebind<uint16_t, D> d16;
  const hn::RebindToUnsigned<D> du;
  const hn::RebindToSigned<D> di;
  auto* bits = reinterpret_cast<uint16_t*>(out);
  for_vectors(
      n,
      [&](int64_t i) HWY_ATTR {
        const auto v = hn::LoadU(d, in + i);
        const auto word = hn::BitCast(du, v);
        const auto odd = hn::And(hn::ShiftRight<16>(word), hn::Set(du, 1U));
        const auto rounded = hn::ShiftRight<16>(hn::Add(word, hn::Add(odd, hn::Set(du, 0x7fffU))));
        const auto quiet = hn::Or(hn::ShiftRight<16>(word), hn::Set(du, 0x40U));
        const auto chosen = hn::IfThenElse(hn::RebindMask(du, hn::IsNaN(v)), quiet, rounded);
        hn::StoreU(hn::DemoteTo(d16, hn::BitCast(di, chosen)), d16, bits + i);
      },
      [&](int64_t i, int64_t count) {
        for (int64_t j = i; j < i + count; ++j) out[j] = BF16(in[j]);
      });
}

float Max(const float* x, int64_t n) {
  const D d;
  V best = hn::Set(d, -std::numeric_limits<float>::infinity());
  V nan = hn::Zero(d);
  float rest_best = -std::numeric_limits<float>::infinity();
  for_vectors(
      n,
      [&](int64_t i) HWY_ATTR {
        const V v = hn::LoadU(d, x + i);
        best = hn::Max(best, v);
        nan = hn::IfThenElse(hn::IsNaN(v), v, nan);
      },
      [&](int64_t i, int64_t count) {
        for (int64_t j = i; j < i + count; ++j) {
          rest_best = x[j] > rest_best || x[j] != x[j] ? x[j] : rest_best;
          if (rest_best != rest_best) return;
        }
      });
  const float lanes_best = hn::GetLane(hn::MaxOfLanes(d, best));
  const float nan_sum = hn::GetLane(hn::SumOfLanes(d, nan));  // 0 or NaN
  if (nan_sum != nan_sum) return nan_sum;
  if (rest_best != rest_best) return rest_best;
  return lanes_best > rest_best ? lanes_best : rest_best;
}

float Sum(const float* x, int64_t n) {
  const D d;
  V a = hn::Zero(d);
  V b = hn::Zero(d);
  const int64_t lanes = static_cast<int64_t>(hn::Lanes(d));
  int64_t i = 0;
  for (; i + 2 * lanes <= n; i += 2 * lanes) {
    a = hn::Add(a, hn::LoadU(d, x + i));
    b = hn::Add(b, hn::LoadU(d, x + i + lanes));
  }
  float total = hn::GetLane(hn::SumOfLanes(d, hn::Add(a, b)));
  for (; i < n; ++i) total += x[i];
  return total;
}

float ExpShifted(const float* x, float shift, float* out, int64_t n) {
  const D d;
  const V s = hn::Set(d, shift);
  V total = hn::Zero(d);
  float rest_total = 0;
  for_vectors(
      n,
      [&](int64_t i) HWY_ATTR {
        const V e = exp_vector(d, hn::Sub(hn::LoadU(d, x + i), s));
        total = hn::Add(total, e);
        hn::StoreU(e, d, out + i);
      },
      [&](int64_t i, int64_t count) HWY_ATTR {
        store_part(exp_vector(d, hn::Sub(load_part(x + i, count), s)), out + i, count);
        for (int64_t j = i; j < i + count; ++j) rest_total += out[j];
      });
  return hn::GetLane(hn::SumOfLanes(d, total)) + rest_total;
}

void Rotate(const float* x, const float* c, const float* s, float sign, int64_t half, float* out) {
  const D d;
  const V turn = hn::Set(d, sign);
  for_vectors(
      half,
      [&](int64_t i) HWY_ATTR {
        const V a = hn::LoadU(d, x + i);
        const V b = hn::LoadU(d, x + half + i);
        const V cosine = hn::LoadU(d, c + i);
        const V sine = hn::Mul(turn, hn::LoadU(d, s + i));
        hn::StoreU(hn::NegMulAdd(b, sine, hn::Mul(a, cosine)), d, out + i);
        hn::StoreU(hn::MulAdd(a, sine, hn::Mul(b, cosine)), d, out + half + i);
      },
      [&](int64_t i, int64_t count) {
        for (int64_t j = i; j < i + count; ++j) {
          const float a = x[j];
          const float b = x[j + half];
          out[j] = a * c[j] - sign * b * s[j];
          out[j + half] = b * c[j] + sign * a * s[j];
        }
      });
}

void Exp(const float* x, float* out, int64_t n) {
  map(x, out, n, [](V v) HWY_ATTR { return exp_vector(D(), v); });
}

void Sigmoid(const float* x, float* out, int64_t n) {
  map(x, out, n, [](V v) HWY_ATTR { return sigmoid_vector(D(), v); });
}

void Silu(const float* x, float* out, int64_t n) {
  map(x, out, n, [](V v) HWY_ATTR { return hn::Mul(v, sigmoid_vector(D(), v)); });
}

// d silu = s + x s (1 - s)
HWY_INLINE V silu_slope(V x, V s) {
  const V one = hn::Set(D(), 1.0f);
  return hn::Mul(s, hn::MulAdd(x, hn::Sub(one, s), one));
}

void SiluGradient(const float* x, const float* dy, float* dx, int64_t n) {
  const D d;
  const auto slope = [](V v, V g)
                         HWY_ATTR { return hn::Mul(g, silu_slope(v, sigmoid_vector(D(), v))); };
  for_vectors(
      n,
      [&](int64_t i)
          HWY_ATTR { hn::StoreU(slope(hn::LoadU(d, x + i), hn::LoadU(d, dy + i)), d, dx + i); },
      [&](int64_t i, int64_t c)
          HWY_ATTR { store_part(slope(load_part(x + i, c), load_part(dy + i, c)), dx + i, c); });
}

void Swiglu(const float* gate, const float* up, float* out, int64_t n) {
  const D d;
  const auto f = [](V g, V u) HWY_ATTR { return hn::Mul(hn::Mul(g, sigmoid_vector(D(), g)), u); };
  for_vectors(
      n,
      [&](int64_t i)
          HWY_ATTR { hn::StoreU(f(hn::LoadU(d, gate + i), hn::LoadU(d, up + i)), d, out + i); },
      [&](int64_t i, int64_t c)
          HWY_ATTR { store_part(f(load_part(gate + i, c), load_part(up + i, c)), out + i, c); });
}

void SwigluGradient(const float* gate, const float* up, const float* dy, float* dgate, float* dup,
                    int64_t n) {
  const D d;
  const auto f = [](V g, V u, V dout, V& dg, V& du) HWY_ATTR {
    const V s = sigmoid_vector(D(), g);
    du = hn::Mul(dout, hn::Mul(g, s));
    dg = hn::Mul(hn::Mul(dout, u), silu_slope(g, s));
  };
  for_vectors(
      n,
      [&](int64_t i) HWY_ATTR {
        V dg;
        V du;
        f(hn::LoadU(d, gate + i), hn::LoadU(d, up + i), hn::LoadU(d, dy + i), dg, du);
        hn::StoreU(dg, d, dgate + i);
        hn::StoreU(du, d, dup + i);
      },
      [&](int64_t i, int64_t c) HWY_ATTR {
        V dg;
        V du;
        f(load_part(gate + i, c), load_part(up + i, c), load_part(dy + i, c), dg, du);
        store_part(dg, dgate + i, c);
        store_part(du, dup + i, c);
      });
}

}  // namespace troupe::kernels::cpu::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
#include <cmath>

namespace troupe::kernels::cpu {
HWY_EXPORT(ToF32);
HWY_EXPORT(ToBF16);
HWY_EXPORT(ScaleBF16);
HWY_EXPORT(AxpyBF16);
HWY_EXPORT(Max);
HWY_EXPORT(Sum);
HWY_EXPORT(ExpShifted);
HWY_EXPORT(Rotate);
HWY_EXPORT(Exp);
HWY_EXPORT(Sigmoid);
HWY_EXPORT(Silu);
HWY_EXPORT(SiluGradient);
HWY_EXPORT(Swiglu);
HWY_EXPORT(SwigluGradient);

namespace vec {

void to_f32(const BF16* in, float* out, int64_t n) { HWY_DYNAMIC_DISPATCH(ToF32)(in, out, n); }
void to_bf16(const float* in, BF16* out, int64_t n) { HWY_DYNAMIC_DISPATCH(ToBF16)(in, out, n); }
float max(const float* x, int64_t n) { return HWY_DYNAMIC_DISPATCH(Max)(x, n); }
float sum(const float* x, int64_t n) { return HWY_DYNAMIC_DISPATCH(Sum)(x, n); }
float exp_shifted(const float* x, float shift, float* out, int64_t n) {
  return HWY_DYNAMIC_DISPATCH(ExpShifted)(x, shift, out, n);
}
void rotate(const float* x, const float* c, const float* s, float sign, int64_t half, float* out) {
  HWY_DYNAMIC_DISPATCH(Rotate)(x, c, s, sign, half, out);
}
void exp(const float* x, float* out, int64_t n) { HWY_DYNAMIC_DISPATCH(Exp)(x, out, n); }
void sigmoid(const float* x, float* out, int64_t n) { HWY_DYNAMIC_DISPATCH(Sigmoid)(x, out, n); }
void silu(const float* x, float* out, int64_t n) { HWY_DYNAMIC_DISPATCH(Silu)(x, out, n); }
void silu_gradient(const float* x, const float* dy, float* dx, int64_t n) {
  HWY_DYNAMIC_DISPATCH(SiluGradient)(x, dy, dx, n);
}
void swiglu(const float* gate, const float* up, float* out, int64_t n) {
  HWY_DYNAMIC_DISPATCH(Swiglu)(gate, up, out, n);
}
void swiglu_gradient(const float* gate, const float* up, const float* dy, float* dgate, float* dup,
                     int64_t n) {
  HWY_DYNAMIC_DISPATCH(SwigluGradient)(gate, up, dy, dgate, dup, n);
}

void axpy(float a, const BF16* x, float* y, int64_t n) {
  HWY_DYNAMIC_DISPATCH(AxpyBF16)(a, x, y, n);
}
void scale(float a, const BF16* x, float* out, int64_t n) {
  HWY_DYNAMIC_DISPATCH(ScaleBF16)(a, x, out, n);
}
void axpy(float a, const float* x, float* y, int64_t n) {
  for (int64_t i = 0; i < n; ++i) y[i] += a * x[i];
}
void scale(float a, const float* x, float* out, int64_t n) {
  for (int64_t i = 0; i < n; ++i) out[i] = a * x[i];
}

double max(const double* x, int64_t n) {
  double best = -std::numeric_limits<double>::infinity();
  for (int64_t i = 0; i < n; ++i) {
    if (std::isnan(x[i])) return x[i];
    best = x[i] > best ? x[i] : best;
  }
  return best;
}
double sum(const double* x, int64_t n) {
  double total = 0;
  for (int64_t i = 0; i < n; ++i) total += x[i];
  return total;
}
double exp_shifted(const double* x, double shift, double* out, int64_t n) {
  double total = 0;
  for (int64_t i = 0; i < n; ++i) total += out[i] = std::exp(x[i] - shift);
  return total;
}
void rotate(const double* x, const double* c, const double* s, double sign, int64_t half,
            double* out) {
  for (int64_t i = 0; i < half; ++i) {
    const double a = x[i];
    const double b = x[i + half];
    out[i] = a * c[i] - sign * b * s[i];
    out[i + half] = b * c[i] + sign * a * s[i];
  }
}
void axpy(double a, const double* x, double* y, int64_t n) {
  for (int64_t i = 0; i < n; ++i) y[i] += a * x[i];
}
void scale(double a, const double* x, double* out, int64_t n) {
  for (int64_t i = 0; i < n; ++i) out[i] = a * x[i];
}

}  // namespace vec
}  // namespace troupe::kernels::cpu
#endif
