#include "core/ops/arithmetic.h"

#include "core/autograd/tape.h"
#include "core/base/error.h"
#include "core/device/operator.h"
#include "core/kernels/elementwise.h"
#include "core/ops/raw.h"

namespace troupe {
namespace {

using kernels::BinaryOp;

Tensor apply(BinaryOp op, const Tensor& a, const Tensor& b) {
  const Shape shape = broadcast(a.shape(), b.shape());
  Tensor out = Tensor::empty(shape, a.dtype(), a.device());
  kernels::binary(out.stream(), op, raw::broadcast_to(a, shape).view(),
                  raw::broadcast_to(b, shape).view(), out.view());
  return out;
}

Tensor apply_affine(const Tensor& x, double factor, double offset) {
  Tensor out = Tensor::empty(x.shape(), x.dtype(), x.device());
  kernels::affine(out.stream(), x.view(), factor, offset, out.view());
  return out;
}

}  // namespace

Tensor add(const Tensor& a, const Tensor& b) {
  const Operator op("add", a.stream());
  raw::check_same_type(op, a, b);
  return record(op, apply(BinaryOp::add, a, b), {a, b},
                [sa = a.shape(), sb = b.shape()](const Tensor& dy, InputGradients& inputs) {
                  if (inputs.needs(0)) inputs.add(0, raw::sum_to(dy, sa));
                  if (inputs.needs(1)) inputs.add(1, raw::sum_to(dy, sb));
                });
}

Tensor sub(const Tensor& a, const Tensor& b) {
  const Operator op("sub", a.stream());
  raw::check_same_type(op, a, b);
  return record(op, apply(BinaryOp::sub, a, b), {a, b},
                [sa = a.shape(), sb = b.shape()](const Tensor& dy, InputGradients& inputs) {
                  if (inputs.needs(0)) inputs.add(0, raw::sum_to(dy, sa));
                  if (inputs.needs(1)) inputs.add(1, apply_affine(raw::sum_to(dy, sb), -1, 0));
                });
}

Tensor mul(const Tensor& a, const Tensor& b) {
  const Operator op("mul", a.stream());
  raw::check_same_type(op, a, b);
  return record(op, apply(BinaryOp::mul, a, b), {a, b},
                [a = Saved(a), b = Saved(b)](const Tensor& dy, InputGradients& inputs) {
                  const Tensor& x = a.get("mul");
                  const Tensor& y = b.get("mul");
                  if (inputs.needs(0)) {
                    inputs.add(0, raw::sum_to(apply(BinaryOp::mul, dy, y), x.shape()));
                  }
                  if (inputs.needs(1)) {
                    inputs.add(1, raw::sum_to(apply(BinaryOp::mul, dy, x), y.shape()));
                  }
                });
}

Tensor div(const Tensor& a, const Tensor& b) {
  const Operator op("div", a.stream());
  raw::check_same_type(op, a, b);
  return record(op, apply(BinaryOp::div, a, b), {a, b},
                [a = Saved(a), b = Saved(b)](const Tensor& dy, InputGradients& inputs) {
                  const Tensor& x = a.get("div");
                  const Tensor& y = b.get("div");
                  const Tensor dx = apply(BinaryOp::div, dy, y);
                  if (inputs.needs(0)) inputs.add(0, raw::sum_to(dx, x.shape()));
                  if (inputs.needs(1)) {  // -dy x / y^2
                    const Tensor t = apply(BinaryOp::mul, dx, apply(BinaryOp::div, x, y));
                    inputs.add(1, apply_affine(raw::sum_to(t, y.shape()), -1, 0));
                  }
                });
}

Tensor affine(const Tensor& x, double factor, double offset) {
  const Operator op("affine", x.stream());
  raw::check_floating(op, x);
  return record(op, apply_affine(x, factor, offset), {x},
                [factor](const Tensor& dy, InputGradients& inputs) {
                  inputs.add(0, apply_affine(dy, factor, 0));
                });
}

Tensor scale(const Tensor& x, double factor) { return affine(x, factor, 0); }

void add_in_place(Tensor& x, const Tensor& y) {
  raw::check_same_type("add_in_place", x, y);
  check_in_place("add_in_place", x);
  kernels::add(x.stream(), x.view(), y.view(), x.view());
}

}  // namespace troupe
