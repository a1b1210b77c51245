#include "core/ops/softmax.h"

#include "core/autograd/tape.h"
#include "core/base/error.h"
#include "core/device/operator.h"
#include "core/kernels/softmax.h"
#include "core/ops/raw.h"

namespace troupe {
namespace {

// A contiguous tensor as [R, N].
View rows(const Tensor& x) {
  const int64_t n = x.dim(-1);
  return raw::with_shape(x, {n == 0 ? 0 : x.elements() / n, n}).view();
}

void check(const char* op, const Tensor& x) {
  raw::check_floating(op, x);
  require(x.rank() > 0, "{} of a scalar", op);
}

}  // namespace

Tensor softmax(const Tensor& x) {
  const Operator op("softmax", x.stream());
  check(op, x);
  Tensor out = Tensor::empty(x.shape(), x.dtype(), x.device());
  kernels::softmax(out.stream(), rows(raw::contiguous(x)), rows(out));
  return record(op, out, {x}, [y = Saved(out)](const Tensor& dy, InputGradients& inputs) {
    const Tensor& p = y.get("softmax");
    Tensor dx = Tensor::empty(p.shape(), p.dtype(), p.device());
    kernels::softmax_gradient(dx.stream(), rows(p), rows(raw::contiguous(dy)), rows(dx));
    inputs.add(0, dx);
  });
}

Tensor log_softmax(const Tensor& x) {
  const Operator op("log_softmax", x.stream());
  check(op, x);
  Tensor out = Tensor::empty(x.shape(), x.dtype(), x.device());
  kernels::log_softmax(out.stream(), rows(raw::contiguous(x)), rows(out));
  return record(op, out, {x}, [y = Saved(out)](const Tensor& dy, InputGradients& inputs) {
    const Tensor& logs = y.get("log_softmax");
    Tensor dx = Tensor::empty(logs.shape(), logs.dtype(), logs.device());
    kernels::log_softmax_gradient(dx.stream(), rows(logs), rows(raw::contiguous(dy)), rows(dx));
    inputs.add(0, dx);
  });
}

Tensor logsumexp(const Tensor& x) {
  const Operator op("logsumexp", x.stream());
  check(op, x);
  require(x.dim(-1) > 0, "logsumexp of rows without elements");
  Shape shape;
  for (int i = 0; i + 1 < x.rank(); ++i) shape.append(x.dim(i));
  const Tensor in = raw::contiguous(x);
  Tensor out = Tensor::empty(shape, x.dtype(), x.device());
  const auto flat = [](const Tensor& t) { return raw::with_shape(t, {t.elements()}).view(); };
  kernels::logsumexp(out.stream(), rows(in), flat(out));
  return record(op, out, {x},
                [flat, x = Saved(in), y = Saved(out)](const Tensor& dy, InputGradients& inputs) {
                  const Tensor& in = x.get("logsumexp");
                  Tensor dx = Tensor::empty(in.shape(), in.dtype(), in.device());
                  kernels::logsumexp_gradient(dx.stream(), rows(in), flat(y.get("logsumexp")),
                                              flat(raw::contiguous(dy)), rows(dx));
                  inputs.add(0, dx);
                });
}

}  // namespace troupe
