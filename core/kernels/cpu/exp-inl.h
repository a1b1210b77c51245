// exp of an f32 vector, per Highway target (included after foreach_target.h). Cephes' reduction and
// polynomial: below 2 ulp; 0 below the smallest normal number, infinity above, NaN for NaN.
#if defined(TROUPE_EXP_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef TROUPE_EXP_INL_H_
#undef TROUPE_EXP_INL_H_
#else
#define TROUPE_EXP_INL_H_
#endif

#include <hwy/highway.h>

#include <limits>

HWY_BEFORE_NAMESPACE();
namespace troupe::kernels::HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

template <class D, class V = hn::Vec<D>>
HWY_INLINE V exp_vector(D d, V x) {
  const hn::RebindToSigned<D> di;
  const V lowest = hn::Set(d, -87.33654475f);
  const V clamped = hn::Min(hn::Set(d, 88.3762626647949f), hn::Max(lowest, x));
  const V n = hn::Round(hn::Mul(clamped, hn::Set(d, 1.44269504088896341f)));
  V r = hn::NegMulAdd(n, hn::Set(d, 0.693359375f), clamped);
  r = hn::NegMulAdd(n, hn::Set(d, -2.12194440e-4f), r);
  V p = hn::Set(d, 1.9875691500e-4f);
  p = hn::MulAdd(p, r, hn::Set(d, 1.3981999507e-3f));
  p = hn::MulAdd(p, r, hn::Set(d, 8.3334519073e-3f));
  p = hn::MulAdd(p, r, hn::Set(d, 4.1665795894e-2f));
  p = hn::MulAdd(p, r, hn::Set(d, 1.6666665459e-1f));
  p = hn::MulAdd(p, r, hn::Set(d, 5.0000001201e-1f));
  p = hn::MulAdd(p, hn::Mul(r, r), hn::Add(r, hn::Set(d, 1.0f)));
  const auto exponent = hn::ShiftLeft<23>(hn::Add(hn::ConvertTo(di, n), hn::Set(di, int32_t{127})));
  V y = hn::Mul(p, hn::BitCast(d, exponent));
  y = hn::IfThenElse(hn::Lt(x, lowest), hn::Zero(d), y);
  y = hn::IfThenElse(hn::Gt(x, hn::Set(d, 88.3762626647949f)),
                     hn::Set(d, std::numeric_limits<float>::infinity()), y);
  return hn::IfThenElse(hn::IsNaN(x), x, y);
}

// sigmoid(x) = 1 / (1 + exp(-x)); exp(-x) = infinity gives 0.
template <class D, class V = hn::Vec<D>>
HWY_INLINE V sigmoid_vector(D d, V x) {
  const V one = hn::Set(d, 1.0f);
  return hn::Div(one, hn::Add(one, exp_vector(d, hn::Neg(x))));
}

}  // namespace troupe::kernels::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();
#endif
