#include "core/kernels/cpu/attention_block.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "core/kernels/cpu/attention_block.cpp"
#include <hwy/foreach_target.h>
#include <hwy/highway.h>

#include "core/kernels/cpu/exp-inl.h"

HWY_BEFORE_NAMESPACE();
namespace troupe::kernels::cpu::HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;
using D = hn::ScalableTag<float>;
using DU = hn::RebindToUnsigned<D>;
using V = hn::Vec<D>;
constexpr int64_t kLanes = hn::MaxLanes(D());
constexpr int kTileVectors = HWY_TARGET == HWY_AVX2 ? 2 : 4;

struct F32Dot {
  static constexpr int kTileRows = 6;
  using Word = float;
  using A = V;
  using B = V;
  static HWY_INLINE A broadcast(float word) { return hn::Set(D(), word); }
  static HWY_INLINE B load(const float* b) { return hn::LoadU(D(), b); }
  static HWY_INLINE V add(A a, B b, V c) { return hn::MulAdd(a, b, c); }
};

// Two bf16 products by f32 arithmetic, where the processor has no instruction for them.
struct BF16Dot {
  static constexpr int kTileRows = 4;
  using Word = uint32_t;
  struct Pair {
    V low;
    V high;
  };
  using A = Pair;
  using B = Pair;
  static HWY_INLINE Pair split(hn::Vec<DU> word) {
    return {hn::BitCast(D(), hn::ShiftLeft<16>(word)),
            hn::BitCast(D(), hn::And(word, hn::Set(DU(), 0xffff0000U)))};
  }
  static HWY_INLINE A broadcast(uint32_t word) { return split(hn::Set(DU(), word)); }
  static HWY_INLINE B load(const uint32_t* b) { return split(hn::LoadU(DU(), b)); }
  static HWY_INLINE V add(A a, B b, V c) {
    return hn::MulAdd(a.high, b.high, hn::MulAdd(a.low, b.low, c));
  }
};

template <class Dot, int kRows, int kVectors>
HWY_INLINE void tile(const BlockProduct<typename Dot::Word, float>& p, int64_t row,
                     int64_t column) {
  const D d;
  V sum[kRows][kVectors];
  float* c = p.c + row * p.ldc + column;
  for (int r = 0; r < kRows; ++r) {
    for (int v = 0; v < kVectors; ++v) {
      sum[r][v] = p.accumulate ? hn::LoadU(d, c + r * p.ldc + v * kLanes) : hn::Zero(d);
    }
  }
  const auto* a = p.a + row * p.a_row;
  const auto* b = p.b + column;
#pragma GCC unroll 2
  for (int64_t w = 0; w < p.words; ++w, a += p.a_word, b += p.ldb) {
    typename Dot::B columns[kVectors];
    for (int v = 0; v < kVectors; ++v) columns[v] = Dot::load(b + v * kLanes);
    for (int r = 0; r < kRows; ++r) {
      const auto factor = Dot::broadcast(a[r * p.a_row]);
      for (int v = 0; v < kVectors; ++v) sum[r][v] = Dot::add(factor, columns[v], sum[r][v]);
    }
  }
  for (int r = 0; r < kRows; ++r) {
    for (int v = 0; v < kVectors; ++v) hn::StoreU(sum[r][v], d, c + r * p.ldc + v * kLanes);
  }
}

template <class Dot, int kVectors>
HWY_INLINE void all_rows(const BlockProduct<typename Dot::Word, float>& p, int64_t column) {
  int64_t row = 0;
  for (; (p.m - row) % Dot::kTileRows != 0; row += 4) tile<Dot, 4, kVectors>(p, row, column);
  for (; row < p.m; row += Dot::kTileRows) tile<Dot, Dot::kTileRows, kVectors>(p, row, column);
}

template <class Dot>
HWY_INLINE void product(const BlockProduct<typename Dot::Word, float>& p) {
  int64_t column = 0;
  for (; column + kTileVectors * kLanes <= p.n; column += kTileVectors * kLanes) {
    all_rows<Dot, kTileVectors>(p, column);
  }
  for (; column + 2 * kLanes <= p.n; column += 2 * kLanes) all_rows<Dot, 2>(p, column);
  for (; column < p.n; column += kLanes) all_rows<Dot, 1>(p, column);
}

void ProductF32(const BlockProduct<float, float>& p) { product<F32Dot>(p); }
void ProductBF16(const BlockProduct<uint32_t, float>& p) { product<BF16Dot>(p); }

// Bits of an f32 rounded to bf16, in the upper half of the word; the lower half is not cleared. (A
// NaN made by arithmetic stays one.)
HWY_INLINE hn::Vec<DU> rounded(V v) {
  const DU du;
  const auto word = hn::BitCast(du, v);
  const auto odd = hn::And(hn::ShiftRight<16>(word), hn::Set(du, 1U));
  return hn::Add(word, hn::Add(odd, hn::Set(du, 0x7fffU)));
}

HWY_INLINE void store_row(V v, float* row, int64_t column) { hn::StoreU(v, D(), row + column); }
HWY_INLINE void store_row(V v, uint32_t* row, int64_t column) {
  const hn::Rebind<uint16_t, D> d16;
  const hn::RebindToSigned<D> di;
  const auto half = hn::BitCast(di, hn::ShiftRight<16>(rounded(v)));
  hn::StoreU(hn::DemoteTo(d16, half), d16, reinterpret_cast<uint16_t*>(row) + column);
}

// New maxima and the factors by which older sums fade; false if none fades.
template <typename Word>
HWY_INLINE bool move_maxima(const ForwardSoftmax<Word, float>& f, float* shifts, float* fades) {
  const D d;
  const V lowest = hn::Set(d, -std::numeric_limits<float>::infinity());
  for (int64_t r = 0; r < kBlockRows; ++r) {
    const float* s = f.s + r * kBlockRows;
    V top = hn::LoadU(d, s);
    for (int64_t i = kLanes; i < kBlockRows; i += kLanes) top = hn::Max(top, hn::LoadU(d, s + i));
    shifts[r] = hn::GetLane(hn::MaxOfLanes(d, top));
  }
  bool any = false;
  for (int64_t r = 0; r < kBlockRows; r += kLanes) {
    const V before = hn::LoadU(d, f.m + r);
    const V now = hn::Max(before, hn::Mul(hn::LoadU(d, shifts + r), hn::Set(d, f.scale)));
    // A row that has seen nothing yet: exp(-infinity - 0) = 0.
    const V shift = hn::IfThenZeroElse(hn::Eq(now, lowest), now);
    const V fade = exp_nonpositive(d, hn::Sub(before, shift));
    any = any || !hn::AllTrue(d, hn::Eq(before, now));
    hn::StoreU(now, d, f.m + r);
    hn::StoreU(shift, d, shifts + r);
    hn::StoreU(fade, d, fades + r);
  }
  return any;
}

template <typename Word>
HWY_INLINE void forward(const ForwardSoftmax<Word, float>& f) {
  const D d;
  constexpr int64_t kRowWords = std::is_same_v<Word, float> ? kBlockRows : kBlockRows / 2;
  HWY_ALIGN float shifts[kBlockRows];
  HWY_ALIGN float fades[kBlockRows];
  const bool fading = move_maxima(f, shifts, fades);
  const V scale = hn::Set(d, f.scale);
  for (int64_t r = 0; r < kBlockRows; ++r) {
    const float* s = f.s + r * kBlockRows;
    Word* p = f.p + r * kRowWords;
    const V shift = hn::Set(d, shifts[r]);
    V total = hn::Zero(d);
    for (int64_t i = 0; i < kBlockRows; i += kLanes) {
      const V e = exp_nonpositive(d, hn::MulSub(hn::LoadU(d, s + i), scale, shift));
      total = hn::Add(total, e);
      store_row(e, p, i);
    }
    f.l[r] = f.l[r] * fades[r] + hn::GetLane(hn::SumOfLanes(d, total));
  }
  if (!fading) return;
  for (int64_t r = 0; r < kBlockRows; ++r) {
    const V factor = hn::Set(d, fades[r]);
    float* o = f.o + r * f.n;
    for (int64_t i = 0; i < f.n; i += kLanes) {
      hn::StoreU(hn::Mul(hn::LoadU(d, o + i), factor), d, o + i);
    }
  }
}

void ForwardF32(const ForwardSoftmax<float, float>& f) { forward(f); }
void ForwardBF16(const ForwardSoftmax<uint32_t, float>& f) { forward(f); }

void BackwardF32(const BackwardSoftmax<float, float>& f) {
  const D d;
  const V scale = hn::Set(d, f.scale);
  for (int64_t r = 0; r < kBlockRows; ++r) {
    const V lse = hn::Set(d, f.lse[r]);
    const V pull = hn::Set(d, f.d[r]);
    for (int64_t i = r * kBlockRows; i < (r + 1) * kBlockRows; i += kLanes) {
      const V p = exp_nonpositive(d, hn::MulSub(hn::LoadU(d, f.s + i), scale, lse));
      const V ds = hn::Mul(hn::Mul(p, scale), hn::Sub(hn::LoadU(d, f.dp + i), pull));
      hn::StoreU(p, d, f.p_columns + i);
      hn::StoreU(ds, d, f.ds_rows + i);
    }
  }
}

void BackwardBF16(const BackwardSoftmax<uint32_t, float>& f) {
  const D d;
  const DU du;
  const V scale = hn::Set(d, f.scale);
  for (int64_t r = 0; r < kBlockRows; r += 2) {
    for (int64_t i = 0; i < kBlockRows; i += kLanes) {
      hn::Vec<DU> p_word = hn::Zero(du);
      hn::Vec<DU> ds_word = hn::Zero(du);
      for (int64_t half = 0; half < 2; ++half) {
        const int64_t at = (r + half) * kBlockRows + i;
        const V lse = hn::Set(d, f.lse[r + half]);
        const V pull = hn::Set(d, f.d[r + half]);
        const V p = exp_nonpositive(d, hn::MulSub(hn::LoadU(d, f.s + at), scale, lse));
        const V ds = hn::Mul(hn::Mul(p, scale), hn::Sub(hn::LoadU(d, f.dp + at), pull));
        store_row(ds, f.ds_rows + (r + half) * kBlockRows / 2, i);
        const auto upper = hn::Set(du, 0xffff0000U);
        p_word =
            half == 0 ? hn::ShiftRight<16>(rounded(p)) : hn::Or(p_word, hn::And(rounded(p), upper));
        ds_word = half == 0 ? hn::ShiftRight<16>(rounded(ds))
                            : hn::Or(ds_word, hn::And(rounded(ds), upper));
      }
      hn::StoreU(p_word, du, f.p_columns + r / 2 * kBlockRows + i);
      hn::StoreU(ds_word, du, f.ds_columns + r / 2 * kBlockRows + i);
    }
  }
}

}  // namespace troupe::kernels::cpu::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
#include <algorithm>
#include <cmath>

namespace troupe::kernels::cpu {
HWY_EXPORT(ProductF32);
HWY_EXPORT(ProductBF16);
HWY_EXPORT(ForwardF32);
HWY_EXPORT(ForwardBF16);
HWY_EXPORT(BackwardF32);
HWY_EXPORT(BackwardBF16);

void run(const BlockProduct<float, float>& p) { HWY_DYNAMIC_DISPATCH(ProductF32)(p); }
void run(const BlockProduct<uint32_t, float>& p) {
  if (has_bf16_dot()) return run_bf16_dot(p);
  run_bf16_wide(p);
}
void run_bf16_wide(const BlockProduct<uint32_t, float>& p) { HWY_DYNAMIC_DISPATCH(ProductBF16)(p); }
void run(const ForwardSoftmax<float, float>& f) { HWY_DYNAMIC_DISPATCH(ForwardF32)(f); }
void run(const ForwardSoftmax<uint32_t, float>& f) { HWY_DYNAMIC_DISPATCH(ForwardBF16)(f); }
void run(const BackwardSoftmax<float, float>& f) { HWY_DYNAMIC_DISPATCH(BackwardF32)(f); }
void run(const BackwardSoftmax<uint32_t, float>& f) { HWY_DYNAMIC_DISPATCH(BackwardBF16)(f); }

void run(const BlockProduct<double, double>& p) {
  for (int64_t i = 0; i < p.m; ++i) {
    double* c = p.c + i * p.ldc;
    if (!p.accumulate) std::fill(c, c + p.n, 0.0);
    for (int64_t w = 0; w < p.words; ++w) {
      const double factor = p.a[i * p.a_row + w * p.a_word];
      const double* b = p.b + w * p.ldb;
      for (int64_t j = 0; j < p.n; ++j) c[j] += factor * b[j];
    }
  }
}

void run(const ForwardSoftmax<double, double>& f) {
  for (int64_t r = 0; r < kBlockRows; ++r) {
    const double* s = f.s + r * kBlockRows;
    double top = f.m[r];
    for (int64_t i = 0; i < kBlockRows; ++i) top = std::max(top, f.scale * s[i]);
    const double shift = std::isinf(top) ? 0.0 : top;
    const double fade = std::exp(f.m[r] - shift);
    double total = 0;
    for (int64_t i = 0; i < kBlockRows; ++i) {
      total += f.p[r * kBlockRows + i] = std::exp(f.scale * s[i] - shift);
    }
    f.l[r] = f.l[r] * fade + total;
    for (int64_t i = 0; i < f.n; ++i) f.o[r * f.n + i] *= fade;
    f.m[r] = top;
  }
}

void run(const BackwardSoftmax<double, double>& f) {
  for (int64_t r = 0; r < kBlockRows; ++r) {
    for (int64_t i = r * kBlockRows; i < (r + 1) * kBlockRows; ++i) {
      const double p = std::exp(f.scale * f.s[i] - f.lse[r]);
      f.ds_rows[i] = f.scale * p * (f.dp[i] - f.d[r]);
      f.p_columns[i] = p;
    }
  }
}

}  // namespace troupe::kernels::cpu
#endif
