#include "core/kernels/cpu/row_product.h"

#include <algorithm>
#include <cmath>

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "core/kernels/cpu/row_product.cpp"
#include <hwy/cache_control.h>
#include <hwy/foreach_target.h>
#include <hwy/highway.h>

HWY_BEFORE_NAMESPACE();
namespace troupe::kernels::HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

using D = hn::CappedTag<float, 8>;  // sixteen rows at once come more slowly from memory
using V = hn::Vec<D>;
constexpr int64_t kLanes = hn::MaxLanes(D());
constexpr int64_t kLine = 16;  // numbers in a cache line

// Four columns of rows 0, 4, 8, ...: a block of 128 bits from each.
template <typename Tag>
HWY_INLINE hn::Vec<Tag> every_fourth_row(Tag d, const float* w, int64_t ld) {
  if constexpr (hn::MaxLanes(Tag()) == 4) {
    return hn::LoadU(d, w);
  } else {
    const hn::Half<Tag> half;
    constexpr int64_t kRows = hn::MaxLanes(half);
    return hn::Combine(d, every_fourth_row(half, w + kRows * ld, ld),
                       every_fourth_row(half, w, ld));
  }
}

// Adds four columns of kLanes rows, times four numbers of x, in the order of the columns.
HWY_INLINE V add_four(const float* x, const float* w, int64_t ld, V sum) {
  const D d;
  const hn::Repartition<double, D> pairs;
  const V a = every_fourth_row(d, w, ld);
  const V b = every_fourth_row(d, w + ld, ld);
  const V c = every_fourth_row(d, w + 2 * ld, ld);
  const V e = every_fourth_row(d, w + 3 * ld, ld);
  const auto ab_lower = hn::BitCast(pairs, hn::InterleaveLower(d, a, b));
  const auto ab_upper = hn::BitCast(pairs, hn::InterleaveUpper(d, a, b));
  const auto ce_lower = hn::BitCast(pairs, hn::InterleaveLower(d, c, e));
  const auto ce_upper = hn::BitCast(pairs, hn::InterleaveUpper(d, c, e));
  const auto add = [&](int64_t i, auto column) {
    sum = hn::MulAdd(hn::Set(d, x[i]), hn::BitCast(d, column), sum);
  };
  add(0, hn::InterleaveLower(pairs, ab_lower, ce_lower));
  add(1, hn::InterleaveUpper(pairs, ab_lower, ce_lower));
  add(2, hn::InterleaveLower(pairs, ab_upper, ce_upper));
  add(3, hn::InterleaveUpper(pairs, ab_upper, ce_upper));
  return sum;
}

// The chain of `count` columns of kLanes rows. The same part of the rows below is fetched.
HWY_INLINE V chain(const float* x, const float* w, int64_t ld, int64_t count) {
  const D d;
  V sum = hn::Zero(d);
  int64_t i = 0;
  for (; i + 4 <= count; i += 4) {
    if (i % kLine == 0) {
      for (int64_t r = kLanes; r < 2 * kLanes; ++r) hwy::Prefetch(w + r * ld + i);
    }
    sum = add_four(x + i, w + i, ld, sum);
  }
  for (; i < count; ++i) {
    HWY_ALIGN float column[kLanes];
    for (int64_t r = 0; r < kLanes; ++r) column[r] = w[r * ld + i];
    sum = hn::MulAdd(hn::Set(d, x[i]), hn::Load(d, column), sum);
  }
  return sum;
}

void RowProduct(const float* x, const float* w, int64_t ld, int64_t k, int64_t n, int64_t depth,
                float* out) {
  const D d;
  int64_t row = 0;
  for (; row + kLanes <= n; row += kLanes) {
    V sum = chain(x, w + row * ld, ld, std::min(depth, k));
    for (int64_t i = depth; i < k; i += depth) {
      sum = hn::Add(sum, chain(x + i, w + row * ld + i, ld, std::min(depth, k - i)));
    }
    hn::StoreU(sum, d, out + row);
  }
  for (; row < n; ++row) {
    for (int64_t i = 0; i < k; i += depth) {
      float sum = 0;
      for (int64_t j = i; j < std::min(i + depth, k); ++j)
        sum = std::fma(x[j], w[row * ld + j], sum);
      out[row] = i == 0 ? sum : out[row] + sum;
    }
  }
}

}  // namespace troupe::kernels::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace troupe::kernels {
HWY_EXPORT(RowProduct);

void row_product(const float* x, const float* w, int64_t ld, int64_t k, int64_t n, int64_t depth,
                 float* out) {
  HWY_DYNAMIC_DISPATCH(RowProduct)(x, w, ld, k, n, depth, out);
}

std::vector<int64_t> row_depths(int64_t k) {
  std::vector<int64_t> depths{k};
  for (const int64_t depth : {1024, 512, 256}) {
    if (depth < k) depths.push_back(depth);
  }
  return depths;
}

}  // namespace troupe::kernels
#endif
