#include "core/ops/rope.h"

#include <cmath>

#include "core/autograd/tape.h"
#include "core/base/error.h"
#include "core/device/operator.h"
#include "core/kernels/position.h"
#include "core/kernels/rows.h"
#include "core/ops/raw.h"

namespace troupe {
namespace {

// x [..., H, hd] as [T, H, hd]: as it lies where the leading dims have one stride, else copied.
Tensor tokens_heads(const Tensor& x) {
  const int rank = x.rank();
  const Shape shape = {x.elements() == 0 ? 0 : x.elements() / (x.dim(-1) * x.dim(-2)), x.dim(-2),
                       x.dim(-1)};
  bool one_stride = x.strides()[-1] == 1 || x.dim(-1) == 1;
  for (int i = 0; i + 3 < rank; ++i) {
    one_stride =
        one_stride && (x.dim(i) == 1 || x.strides()[i] == x.strides()[i + 1] * x.dim(i + 1));
  }
  if (!one_stride) return raw::with_shape(raw::contiguous(x), shape);
  const int64_t stride = rank >= 3 ? x.strides()[-3] : 0;
  return x.strided(shape, {stride, x.strides()[-2], 1}, 0);
}

Tensor turned(const Tensor& x, const RopeTable& table, const Tensor& positions, bool inverse) {
  Tensor out = Tensor::empty(x.shape(), x.dtype(), x.device());
  const Tensor in = tokens_heads(x);
  kernels::rope(out.stream(), in.view(), table.cosine.view(), table.sine.view(), positions.view(),
                inverse, raw::with_shape(out, in.shape()).view());
  return out;
}

}  // namespace

RopeTable make_rope_table(int64_t positions, int64_t head_dim, double theta, DType compute,
                          const std::shared_ptr<Device>& device) {
  require(head_dim % 2 == 0, "rope needs an even head_dim, not {}", head_dim);
  const int64_t half = head_dim / 2;
  std::vector<double> cosine(static_cast<size_t>(positions * half));
  std::vector<double> sine(cosine.size());
  for (int64_t i = 0; i < half; ++i) {
    const double rate =
        std::pow(theta, -2.0 * static_cast<double>(i) / static_cast<double>(head_dim));
    for (int64_t p = 0; p < positions; ++p) {
      const double angle = static_cast<double>(p) * rate;
      cosine[static_cast<size_t>(p * half + i)] = std::cos(angle);
      sine[static_cast<size_t>(p * half + i)] = std::sin(angle);
    }
  }
  const Shape shape = {positions, half};
  return {Tensor::from(cosine, shape, wide(compute), device),
          Tensor::from(sine, shape, wide(compute), device)};
}

Tensor rope(const Tensor& x, const RopeTable& table, const Tensor& positions) {
  const Operator op("rope", x.stream());
  raw::check_floating(op, x);
  require(x.rank() >= 2 && x.dim(-1) == 2 * table.cosine.dim(1) &&
              table.cosine.dtype() == wide(x.dtype()),
          "rope of a {} {} with a {} table for heads of {}", name(x.dtype()), x.shape().text(),
          name(table.cosine.dtype()), 2 * table.cosine.dim(1));
  const int64_t tokens = tokens_heads(x).dim(0);
  require(
      positions.elements() == tokens && positions.dtype() == DType::i32 && positions.contiguous(),
      "rope of {} tokens with {} {} positions", tokens, positions.elements(),
      name(positions.dtype()));
  kernels::check_rows(x.stream(), "rope table", positions.view(), 0, table.cosine.dim(0));
  return record(op, turned(x, table, positions, false), {x},
                [table, positions](const Tensor& dy, InputGradients& inputs) {
                  inputs.add(0, turned(dy, table, positions, true));
                });
}

}  // namespace troupe
