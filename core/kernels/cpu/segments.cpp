#include "core/kernels/segments.h"

#include <algorithm>

#include "core/base/error.h"
#include "core/kernels/dispatch.h"

namespace troupe::kernels::cpu {
namespace {

// f(a zero of the type)
template <typename F>
void by_precision(const View& x, F&& f) {
  if (x.dtype == DType::f64) return f(double{});
  require(x.dtype == DType::f32, "sums of segments in {}", name(x.dtype));
  f(float{});
}

void store(const View& loss, double value) {
  by_precision(loss, [&](auto zero) {
    using T = decltype(zero);
    *loss.as<T>() = static_cast<T>(value);
  });
}

}  // namespace

void segment_sums(Stream& /*stream*/, View x, View segment, View sums) {
  const int64_t columns = x.dim(1);
  const auto* of = segment.as<int32_t>();
  auto* to = sums.as<double>();
  std::fill(to, to + sums.elements(), 0.0);
  by_precision(x, [&](auto zero) {
    const auto* from = x.as<decltype(zero)>();
    for (int64_t t = 0; t < x.dim(0); ++t) {
      if (of[t] < 0) continue;
      for (int64_t e = 0; e < columns; ++e)
        to[of[t] * columns + e] += static_cast<double>(from[t * columns + e]);
    }
  });
}

void weighted_segments(Stream& /*stream*/, View sums, View weights, const SumTerms& terms,
                       View loss) {
  const auto* sum = sums.as<double>();
  const auto* weight = weights.as<double>();
  double value = terms.first;
  for (int64_t i = 0; i < sums.elements(); ++i) value += weight[i] * sum[i];
  store(loss, terms.factor * (value + terms.last));
}

void segment_variation(Stream& /*stream*/, View sums, double share, double factor, View slope,
                       View loss) {
  const int64_t columns = sums.dim(1);
  double value = 0.0;
  for (int64_t s = 0; s < sums.dim(0); ++s) {
    const double* sum = sums.as<double>() + s * columns;
    double* to = slope.as<double>() + s * columns;
    double total = 0.0;
    double squares = 0.0;
    for (int64_t e = 0; e < columns; ++e) {
      total += sum[e];
      squares += sum[e] * sum[e];
    }
    const bool empty = total <= 0.0;
    const double scale = empty ? 0.0 : share * static_cast<double>(columns) / (total * total);
    value += empty ? 0.0 : scale * squares - share;
    for (int64_t e = 0; e < columns; ++e)
      to[e] = empty ? 0.0 : 2.0 * scale * (sum[e] - squares / total);
  }
  store(loss, factor * value);
}

void segment_loss_gradient(Stream& /*stream*/, View g, View slope, double factor, View segment,
                           View dx) {
  const int64_t columns = dx.dim(1);
  const auto* of = segment.as<int32_t>();
  const auto* from = slope.as<double>();
  by_precision(dx, [&](auto zero) {
    using T = decltype(zero);
    const auto seed = static_cast<double>(*g.as<T>());
    auto* to = dx.as<T>();
    for (int64_t t = 0; t < dx.dim(0); ++t, to += columns) {
      if (of[t] < 0) {
        std::fill(to, to + columns, T(0));
        continue;
      }
      for (int64_t e = 0; e < columns; ++e)
        to[e] = static_cast<T>(seed * (from[of[t] * columns + e] * factor));
    }
  });
}

}  // namespace troupe::kernels::cpu

namespace troupe::kernels {

void segment_sums(Stream& stream, View x, View segment, View sums) {
  on_device<cpu::segment_sums>(stream, x, segment, sums);
}

void weighted_segments(Stream& stream, View sums, View weights, const SumTerms& terms, View loss) {
  on_device<cpu::weighted_segments>(stream, sums, weights, terms, loss);
}

void segment_variation(Stream& stream, View sums, double share, double factor, View slope,
                       View loss) {
  on_device<cpu::segment_variation>(stream, sums, share, factor, slope, loss);
}

void segment_loss_gradient(Stream& stream, View g, View slope, double factor, View segment,
                           View dx) {
  on_device<cpu::segment_loss_gradient>(stream, g, slope, factor, segment, dx);
}

}  // namespace troupe::kernels
