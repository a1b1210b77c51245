#include "moe/balance/segment_loss.h"

#include <utility>

#include "core/autograd/tape.h"
#include "core/base/error.h"

namespace troupe {
namespace {

Tensor table_like(const Tensor& sums_SE, const std::vector<double>& values) {
  return Tensor::from(values, sums_SE.shape(), DType::f64, sums_SE.device());
}

// The loss `value` with gradients by slopes that `slope_SE` gives when backward comes.
Tensor with_gradient(const Operator& op, const SegmentSums& of, Tensor value,
                     std::function<Tensor()> slope_SE, double factor) {
  return record(op, std::move(value), {of.x_TE},
                [shape = of.x_TE.shape(), segment = of.segment_T, slope_of = std::move(slope_SE),
                 factor](const Tensor& g, InputGradients& inputs) {
                  const Tensor slope = slope_of();
                  const Tensor dx = Tensor::empty(shape, g.dtype(), g.device());
                  kernels::segment_loss_gradient(g.stream(), g.view(), slope.view(), factor,
                                                 segment.view(), dx.view());
                  inputs.add(0, dx);
                });
}

Tensor one_like(const Tensor& x) { return Tensor::empty(Shape{}, x.dtype(), x.device()); }

}  // namespace

SegmentSums segment_sums(const Tensor& x_TE, const std::vector<int32_t>& segment_T,
                         int64_t segments) {
  require(x_TE.rank() == 2 && x_TE.contiguous() &&
              x_TE.dim(0) == static_cast<int64_t>(segment_T.size()),
          "segments of {} rows for values of shape {}", segment_T.size(), x_TE.shape().text());
  const Operator op("segment sums", x_TE.stream());
  SegmentSums out{x_TE,
                  Tensor::from(std::span<const int32_t>(segment_T), {x_TE.dim(0)}, x_TE.device()),
                  Tensor::empty({segments, x_TE.dim(1)}, DType::f64, x_TE.device())};
  kernels::segment_sums(x_TE.stream(), x_TE.view(), out.segment_T.view(), out.sums_SE.view());
  return out;
}

Tensor weighted_loss(const SegmentSums& of, const std::vector<double>& weights,
                     const kernels::SumTerms& terms) {
  const Operator op("balance loss", of.x_TE.stream());
  const Tensor weight = table_like(of.sums_SE, weights);
  const Tensor value = one_like(of.x_TE);
  kernels::weighted_segments(value.stream(), of.sums_SE.view(), weight.view(), terms, value.view());
  return with_gradient(
      op, of, value, [weight] { return weight; }, terms.factor);
}

Tensor variation_loss(const SegmentSums& of, double share, double factor) {
  const Operator op("balance loss", of.x_TE.stream());
  const Tensor slope = Tensor::empty(of.sums_SE.shape(), DType::f64, of.sums_SE.device());
  const Tensor value = one_like(of.x_TE);
  kernels::segment_variation(value.stream(), of.sums_SE.view(), share, factor, slope.view(),
                             value.view());
  return with_gradient(
      op, of, value, [slope] { return slope; }, factor);
}

Tensor loss_later(const SegmentSums& of, Tensor value,
                  std::function<std::vector<double>()> slope_SE, double factor) {
  const Operator op("balance loss", of.x_TE.stream());
  return with_gradient(
      op, of, std::move(value),
      [slope_of = std::move(slope_SE), sums = of.sums_SE] { return table_like(sums, slope_of()); },
      factor);
}

void write_weighted(const Tensor& sums_SE, const std::vector<double>& weights,
                    const kernels::SumTerms& terms, const Tensor& value) {
  kernels::weighted_segments(value.stream(), sums_SE.view(), table_like(sums_SE, weights).view(),
                             terms, value.view());
}

}  // namespace troupe
