// The primitives of vector.h that take a row with many others: what they add up stays in registers.
#include <cmath>

#include "core/kernels/cpu/vector.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "core/kernels/cpu/vector_rows.cpp"
#include <hwy/foreach_target.h>
#include <hwy/highway.h>

HWY_BEFORE_NAMESPACE();
namespace troupe::kernels::cpu::HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;
using D = hn::ScalableTag<float>;
using V = hn::Vec<D>;

HWY_INLINE float dot(const float* x, const float* y, int64_t n) {
  const D d;
  V a = hn::Zero(d);
  V b = hn::Zero(d);
  const int64_t lanes = static_cast<int64_t>(hn::Lanes(d));
  int64_t i = 0;
  for (; i + 2 * lanes <= n; i += 2 * lanes) {
    a = hn::MulAdd(hn::LoadU(d, x + i), hn::LoadU(d, y + i), a);
    b = hn::MulAdd(hn::LoadU(d, x + i + lanes), hn::LoadU(d, y + i + lanes), b);
  }
  float total = hn::GetLane(hn::SumOfLanes(d, hn::Add(a, b)));
  for (; i < n; ++i) total += x[i] * y[i];
  return total;
}

void Dots(const float* a, const float* rows, int64_t stride, int64_t count, int64_t n, float* out) {
  for (int64_t j = 0; j < count; ++j) out[j] = dot(a, rows + j * stride, n);
}

// kVectors vectors of y.
template <int kVectors>
HWY_INLINE void add_rows(const float* a, const float* rows, int64_t stride, int64_t count,
                         float* y) {
  const D d;
  constexpr int64_t kLanes = hn::MaxLanes(D());
  V sums[kVectors];
  for (int v = 0; v < kVectors; ++v) sums[v] = hn::LoadU(d, y + v * kLanes);
  for (int64_t j = 0; j < count; ++j, rows += stride) {
    const V factor = hn::Set(d, a[j]);
    for (int v = 0; v < kVectors; ++v)
      sums[v] = hn::MulAdd(factor, hn::LoadU(d, rows + v * kLanes), sums[v]);
  }
  for (int v = 0; v < kVectors; ++v) hn::StoreU(sums[v], d, y + v * kLanes);
}

void Axpys(const float* a, const float* rows, int64_t stride, int64_t count, float* y, int64_t n) {
  constexpr int64_t kLanes = hn::MaxLanes(D());
  int64_t i = 0;
  for (; i + 4 * kLanes <= n; i += 4 * kLanes) add_rows<4>(a, rows + i, stride, count, y + i);
  for (; i + kLanes <= n; i += kLanes) add_rows<1>(a, rows + i, stride, count, y + i);
  for (; i < n; ++i) {
    for (int64_t j = 0; j < count; ++j) y[i] = std::fma(a[j], rows[j * stride + i], y[i]);
  }
}

}  // namespace troupe::kernels::cpu::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace troupe::kernels::cpu {
HWY_EXPORT(Dots);
HWY_EXPORT(Axpys);

namespace vec {

void dots(const float* a, const float* rows, int64_t stride, int64_t count, int64_t n, float* out) {
  HWY_DYNAMIC_DISPATCH(Dots)(a, rows, stride, count, n, out);
}
float dot(const float* a, const float* b, int64_t n) {
  float out = 0;
  dots(a, b, 0, 1, n, &out);
  return out;
}
void axpys(const float* a, const float* rows, int64_t stride, int64_t count, float* y, int64_t n) {
  HWY_DYNAMIC_DISPATCH(Axpys)(a, rows, stride, count, y, n);
}

double dot(const double* a, const double* b, int64_t n) {
  double total = 0;
  for (int64_t i = 0; i < n; ++i) total += a[i] * b[i];
  return total;
}
void dots(const double* a, const double* rows, int64_t stride, int64_t count, int64_t n,
          double* out) {
  for (int64_t j = 0; j < count; ++j) out[j] = dot(a, rows + j * stride, n);
}
void axpys(const double* a, const double* rows, int64_t stride, int64_t count, double* y,
           int64_t n) {
  for (int64_t j = 0; j < count; ++j) axpy(a[j], rows + j * stride, y, n);
}

}  // namespace vec
}  // namespace troupe::kernels::cpu
#endif
