#include "core/ops/dropout.h"

#include "core/autograd/tape.h"
#include "core/base/error.h"
#include "core/device/operator.h"
#include "core/kernels/position.h"
#include "core/ops/raw.h"

namespace troupe {

Tensor dropout(const Tensor& x, double rate, const Random& random, const Tensor& rows) {
  const Operator op("dropout", x.stream());
  raw::check_floating(op, x);
  require(rate >= 0 && rate < 1, "dropout with rate {}", rate);
  if (rate == 0) return x;
  require(x.rank() > 0 && rows.dtype() == DType::i64 && rows.contiguous() &&
              rows.elements() * x.dim(-1) == x.elements(),
          "dropout of shape {} with {} {} rows", x.shape().text(), rows.elements(),
          name(rows.dtype()));
  const auto masked = [rate, random, rows](const Tensor& in) {
    Tensor out = Tensor::empty(in.shape(), in.dtype(), in.device());
    const Shape flat = {rows.elements(), in.dim(-1)};
    kernels::dropout(out.stream(), raw::with_shape(raw::contiguous(in), flat).view(), rate, random,
                     rows.view(), raw::with_shape(out, flat).view());
    return out;
  };
  return record(op, masked(x), {x},
                [masked](const Tensor& dy, InputGradients& inputs) { inputs.add(0, masked(dy)); });
}

}  // namespace troupe
