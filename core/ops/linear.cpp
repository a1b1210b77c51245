#include "core/ops/linear.h"

#include "core/base/error.h"
#include "core/device/operator.h"
#include "core/kernels/elementwise.h"
#include "core/kernels/grouped_gemm.h"
#include "core/kernels/reduce.h"
#include "core/ops/rows_of.h"
#include "core/ops/weight_gradient.h"

namespace troupe {
namespace {

Tensor weight_product(const Tensor& rows, const WeightOperand& weight) {
  const int64_t count = rows.dim(0);
  Tensor out = Tensor::empty({count, weight.n}, rows.dtype(), rows.device());
  kernels::grouped_gemm(out.stream(), rows.view(), {&count, 1}, weight, out.view());
  return out;
}

void add_bias(const Tensor& out, Parameter& bias) {
  View row = bias.compute_value().view();
  row.shape = out.shape();
  row.strides = {0, 1};
  kernels::add(out.stream(), out.view(), row, out.view());
}

void add_bias_gradient(const Tensor& gradient, Parameter& bias) {
  const Tensor rows = gradient.contiguous() ? gradient : rows_of(gradient);
  View three = rows.view();
  three.shape = {1, rows.dim(0), rows.dim(1)};
  three.strides = contiguous_strides(three.shape);
  const Tensor sum = Tensor::empty({1, rows.dim(1)}, wide(rows.dtype()), rows.device());
  kernels::sum_middle(sum.stream(), three, sum.view());
  bias.accumulate(sum.strided({rows.dim(1)}, {1}, 0));
}

void check(const Tensor& x, const Parameter& weight, const Parameter* bias) {
  const Shape& shape = weight.value().shape();
  require(shape.rank() == 2 && x.rank() >= 1 && x.dim(-1) == shape[1],
          "linear {}: x of shape {} does not fit the weight {}", weight.name(), x.shape().text(),
          shape.text());
  require(x.dtype() == weight.compute(), "linear {}: x is {}, the weight computes in {}",
          weight.name(), name(x.dtype()), name(weight.compute()));
  require(bias == nullptr || bias->value().shape() == Shape{shape[0]},
          "linear {}: bias of shape {} for {} outputs", weight.name(),
          bias == nullptr ? "" : bias->value().shape().text(), shape[0]);
}

}  // namespace

Tensor linear(const Tensor& x, Parameter& weight, Parameter* bias) {
  const Operator op("linear", x.stream());
  check(x, weight, bias);
  weight.use();
  if (bias != nullptr) bias->use();
  const Tensor rows = rows_of(x);
  Tensor out = weight_product(rows, weight.forms().forward());
  if (bias != nullptr) add_bias(out, *bias);
  const Shape shape = x.shape();
  return record(
      op, shaped_like(out, shape), {x},
      [shape, &weight](const Tensor& gradient, InputGradients& inputs) {
        if (!inputs.needs(0)) return;
        inputs.add(
            0,
            shaped_like(weight_product(rows_of(gradient), weight.forms().input_gradient()), shape));
      },
      [saved = Saved(rows), &weight, bias](const Tensor& gradient) {
        const Tensor rows_gradient = rows_of(gradient);
        const int64_t count = rows_gradient.dim(0);
        add_weight_gradient(rows_gradient, saved.get("linear"), {&count, 1}, weight);
        if (bias != nullptr) add_bias_gradient(rows_gradient, *bias);
      });
}

}  // namespace troupe
