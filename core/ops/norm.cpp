#include "core/ops/norm.h"

#include "core/base/error.h"
#include "core/device/operator.h"
#include "core/kernels/norm.h"
#include "core/ops/raw.h"

namespace troupe {
namespace {

View rows(const Tensor& x) {
  const int64_t n = x.dim(-1);
  return raw::with_shape(x, {n == 0 ? 0 : x.elements() / n, n}).view();
}

void check(const char* op, const Tensor& x, const Parameter& weight) {
  raw::check_floating(op, x);
  require(x.rank() > 0 && weight.value().shape() == Shape({x.dim(-1)}) && x.dim(-1) > 0,
          "{} of shape {} with the weight {} of shape {}", op, x.shape().text(), weight.name(),
          weight.value().shape().text());
  require(weight.value().dtype() == wide(x.dtype()), "{} of a {} tensor with {} weights", op,
          name(x.dtype()), name(weight.value().dtype()));
}

Tensor statistic(const Tensor& x) {
  return Tensor::empty({x.elements() / x.dim(-1)}, wide(x.dtype()), x.device());
}

}  // namespace

Tensor rms_norm(const Tensor& x, Parameter& weight, double eps) {
  const Operator op("rms_norm", x.stream());
  check(op, x, weight);
  weight.use();
  const Tensor in = raw::contiguous(x);
  const Tensor r = statistic(x);
  Tensor out = Tensor::empty(x.shape(), x.dtype(), x.device());
  kernels::rms_norm(out.stream(), rows(in), weight.value().view(), eps, rows(out), r.view());
  const Saved saved(in);
  return record(
      op, out, {x},
      [saved, r, &weight](const Tensor& dy, InputGradients& inputs) {
        if (!inputs.needs(0)) return;
        const Tensor& in = saved.get("rms_norm");
        Tensor dx = Tensor::empty(in.shape(), in.dtype(), in.device());
        kernels::rms_norm_gradient(dx.stream(), rows(in), weight.value().view(), r.view(),
                                   rows(raw::contiguous(dy)), rows(dx));
        inputs.add(0, dx);
      },
      [saved, r, &weight](const Tensor& dy) {
        bool fresh = false;
        const Tensor& dw = weight.begin_accumulate(fresh);
        kernels::rms_norm_weight_gradient(dy.stream(), rows(saved.get("rms_norm")), r.view(),
                                          rows(raw::contiguous(dy)), dw.view(), !fresh);
        weight.end_accumulate();
      });
}

Tensor layer_norm(const Tensor& x, Parameter& weight, Parameter& bias, double eps) {
  const Operator op("layer_norm", x.stream());
  check(op, x, weight);
  check(op, x, bias);
  weight.use();
  bias.use();
  const Tensor in = raw::contiguous(x);
  const Tensor m = statistic(x);
  const Tensor r = statistic(x);
  Tensor out = Tensor::empty(x.shape(), x.dtype(), x.device());
  kernels::layer_norm(out.stream(), rows(in), weight.value().view(), bias.value().view(), eps,
                      rows(out), m.view(), r.view());
  const Saved saved(in);
  return record(
      op, out, {x},
      [saved, m, r, &weight](const Tensor& dy, InputGradients& inputs) {
        if (!inputs.needs(0)) return;
        const Tensor& in = saved.get("layer_norm");
        Tensor dx = Tensor::empty(in.shape(), in.dtype(), in.device());
        kernels::layer_norm_gradient(dx.stream(), rows(in), weight.value().view(), m.view(),
                                     r.view(), rows(raw::contiguous(dy)), rows(dx));
        inputs.add(0, dx);
      },
      [saved, m, r, &weight, &bias](const Tensor& dy) {
        const Tensor g = raw::contiguous(dy);
        bool fresh = false;
        const Tensor& dw = weight.begin_accumulate(fresh);
        kernels::layer_norm_weight_gradient(g.stream(), rows(saved.get("layer_norm")), m.view(),
                                            r.view(), rows(g), dw.view(), !fresh);
        weight.end_accumulate();
        const Tensor& db = bias.begin_accumulate(fresh);
        kernels::bias_gradient(g.stream(), rows(g), db.view(), !fresh);
        bias.end_accumulate();
      });
}

}  // namespace troupe
