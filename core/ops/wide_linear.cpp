#include "core/ops/wide_linear.h"

#include "core/base/error.h"
#include "core/device/operator.h"
#include "core/kernels/wide_linear.h"
#include "core/ops/linear.h"
#include "core/ops/raw.h"
#include "core/ops/rows_of.h"

namespace troupe {

Tensor wide_linear(const Tensor& x, Parameter& weight) {
  if (x.dtype() == weight.compute()) return linear(x, weight);
  const Operator op("wide_linear", x.stream());
  const Shape& shape = weight.value().shape();
  require(shape.rank() == 2 && x.rank() >= 1 && x.dim(-1) == shape[1],
          "wide_linear {}: x of shape {} does not fit the weight {}", weight.name(),
          x.shape().text(), shape.text());
  weight.use();
  const Tensor rows = raw::contiguous(rows_of(x));
  const Tensor out = Tensor::empty({rows.dim(0), shape[0]}, weight.compute(), x.device());
  kernels::wide_linear(out.stream(), rows.view(), weight.compute_value().view(), out.view());
  return record(
      op, shaped_like(out, x.shape()), {x},
      [shape = x.shape(), narrow = x.dtype(), &weight](const Tensor& gradient,
                                                       InputGradients& inputs) {
        if (!inputs.needs(0)) return;
        const Tensor dy = raw::contiguous(rows_of(gradient));
        const Tensor dx = Tensor::empty({dy.dim(0), shape[-1]}, narrow, dy.device());
        kernels::wide_linear_input_gradient(dx.stream(), dy.view(), weight.compute_value().view(),
                                            dx.view());
        inputs.add(0, shaped_like(dx, shape));
      },
      [saved = Saved(rows), &weight](const Tensor& gradient) {
        const Tensor dy = raw::contiguous(rows_of(gradient));
        bool fresh = false;
        const Tensor& target = weight.begin_accumulate(fresh);
        kernels::wide_linear_weight_gradient(
            dy.stream(), dy.view(), saved.get("wide_linear").view(), target.view(), !fresh);
        weight.end_accumulate();
      });
}

}  // namespace troupe
