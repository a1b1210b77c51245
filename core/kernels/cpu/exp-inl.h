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
namespace troupe::kernels::cpu::HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

constexpr float kLowestExponent = -87.33654475f;  // exp of less is not a normal number

// exp of x in [kLowestExponent, 88.37]; NaN for NaN, otherwise meaningless outside.
template <class D, class V = hn::Vec<D>>
HWY_INLINE V exp_in_range(D d, V x) {
  const hn::RebindToSigned<D> di;
  // Adding 1.5 * 2^23 rounds to an integer, which then stands in the low bits.
  const V magic = hn::Set(d, 12582912.0f);
  const V shifted = hn::MulAdd(x, hn::Set(d, 1.44269504088896341f), magic);
  const V n = hn::Sub(shifted, magic);
  V r = hn::NegMulAdd(n, hn::Set(d, 0.693359375f), x);
  r = hn::NegMulAdd(n, hn::Set(d, -2.12194440e-4f), r);
  V p = hn::Set(d, 1.9875691500e-4f);
  p = hn::MulAdd(p, r, hn::Set(d, 1.3981999507e-3f));
  p = hn::MulAdd(p, r, hn::Set(d, 8.3334519073e-3f));
  p = hn::MulAdd(p, r, hn::Set(d, 4.1665795894e-2f));
  p = hn::MulAdd(p, r, hn::Set(d, 1.6666665459e-1f));
  p = hn::MulAdd(p, r, hn::Set(d, 5.0000001201e-1f));
  p = hn::MulAdd(p, hn::Mul(r, r), hn::Add(r, hn::Set(d, 1.0f)));
  const auto exponent = hn::ShiftLeft<23>(hn::Add(hn::BitCast(di, shifted), hn::Set(di, 127)));
  return hn::Mul(p, hn::BitCast(d, exponent));
}

// exp of x <= 0, -infinity included.
template <class D, class V = hn::Vec<D>>
HWY_INLINE V exp_nonpositive(D d, V x) {
  const V lowest = hn::Set(d, kLowestExponent);
  return hn::IfThenZeroElse(hn::Lt(x, lowest), exp_in_range(d, hn::Max(lowest, x)));
}

template <class D, class V = hn::Vec<D>>
HWY_INLINE V exp_vector(D d, V x) {
  const V lowest = hn::Set(d, kLowestExponent);
  const V highest = hn::Set(d, 88.3762626647949f);
  const V y = exp_in_range(d, hn::Min(highest, hn::Max(lowest, x)));
  const V inf = hn::Set(d, std::numeric_limits<float>::infinity());
  const V low = hn::IfThenZeroElse(hn::Lt(x, lowest), y);
  return hn::IfThenElse(hn::Gt(x, highest), inf, hn::IfThenElse(hn::IsNaN(x), x, low));
}

// sigmoid(x) = 1 / (1 + exp(-x)); exp(-x) = infinity gives 0.
template <class D, class V = hn::Vec<D>>
HWY_INLINE V sigmoid_vector(D d, V x) {
  const V one = hn::Set(d, 1.0f);
  return hn::Div(one, hn::Add(one, exp_vector(d, hn::Neg(x))));
}

}  // namespace troupe::kernels::cpu::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();
#endif
