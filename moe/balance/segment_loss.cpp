#include "moe/balance/segment_loss.h"

#include "core/autograd/tape.h"
#include "core/base/error.h"
#include "core/tensor/host_memory.h"

namespace troupe {
namespace {

template <typename T>
void fill_gradient(T* dx, double seed, const std::vector<double>& slope,
                   const std::vector<int32_t>& segment, int64_t columns) {
  for (size_t t = 0; t < segment.size(); ++t) {
    for (int64_t e = 0; e < columns; ++e) {
      const int64_t from = segment[t] * columns + e;
      dx[static_cast<int64_t>(t) * columns + e] =
          segment[t] < 0 ? T{0} : static_cast<T>(seed * slope[static_cast<size_t>(from)]);
    }
  }
}

}  // namespace

Tensor segment_loss(const Tensor& x_TE, double value, std::vector<double> slope_SE,
                    std::vector<int32_t> segment_T) {
  return segment_loss_later(
      x_TE, Tensor::full(Shape{}, x_TE.dtype(), value, x_TE.device()),
      [slope = std::move(slope_SE)] { return slope; }, std::move(segment_T));
}

Tensor segment_loss_later(const Tensor& x_TE, Tensor value,
                          std::function<std::vector<double>()> slope_SE,
                          std::vector<int32_t> segment_T) {
  require(x_TE.rank() == 2 && x_TE.dim(0) == static_cast<int64_t>(segment_T.size()),
          "segments of {} rows for values of shape {}", segment_T.size(), x_TE.shape().text());
  const Operator op("balance loss", x_TE.stream());
  const Shape shape = x_TE.shape();
  return record(
      op, std::move(value), {x_TE},
      [shape, slope_of = std::move(slope_SE), segment = std::move(segment_T)](
          const Tensor& g, InputGradients& inputs) {
        const std::vector<double> slope = slope_of();
        Tensor dx = Tensor::empty(shape, g.dtype(), g.device());
        if (g.dtype() == DType::f64) {
          fill_gradient(host_output<double>(dx).data(), g.item(), slope, segment, shape[1]);
        } else {
          fill_gradient(host_output<float>(dx).data(), g.item(), slope, segment, shape[1]);
        }
        inputs.add(0, std::move(dx));
      });
}

std::vector<double> segment_sums(const Tensor& x_TE, const std::vector<int32_t>& segment_T,
                                 int64_t segments) {
  const int64_t columns = x_TE.dim(1);
  const std::vector<double> x = x_TE.values();
  std::vector<double> sums(static_cast<size_t>(segments * columns), 0.0);
  for (size_t t = 0; t < segment_T.size(); ++t) {
    if (segment_T[t] < 0) continue;
    for (int64_t e = 0; e < columns; ++e) {
      sums[static_cast<size_t>(segment_T[t] * columns + e)] +=
          x[t * static_cast<size_t>(columns) + static_cast<size_t>(e)];
    }
  }
  return sums;
}

}  // namespace troupe
