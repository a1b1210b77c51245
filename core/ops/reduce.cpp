#include "core/ops/reduce.h"

#include "core/autograd/tape.h"
#include "core/base/error.h"
#include "core/device/operator.h"
#include "core/kernels/elementwise.h"
#include "core/ops/raw.h"

namespace troupe {
namespace {

Tensor scaled(const Tensor& x, double factor) {
  if (factor == 1.0) return x;
  Tensor out = Tensor::empty(x.shape(), x.dtype(), x.device());
  kernels::affine(out.stream(), x.view(), factor, 0, out.view());
  return out;
}

Tensor drop_dim(const Tensor& x, int dim) {
  Shape shape;
  for (int i = 0; i < x.rank(); ++i) {
    if (i != dim) shape.append(x.dim(i));
  }
  return raw::with_shape(x, shape);
}

// factor * sum over all elements
Tensor sum_all(const char* name, const Tensor& x, double factor) {
  const Operator op(name, x.stream());
  raw::check_floating(op, x);
  return record(op, scaled(raw::sum_to(x, {}), factor), {x},
                [shape = x.shape(), factor](const Tensor& dy, InputGradients& inputs) {
                  inputs.add(0, raw::broadcast_to(scaled(dy, factor), shape));
                });
}

Tensor sum_dim(const char* name, const Tensor& x, int dim, bool keep, double factor) {
  const Operator op(name, x.stream());
  Shape reduced = x.shape();
  reduced[dim] = 1;
  const Tensor kept = scaled(raw::sum_to(x, reduced), factor);
  return record(op, keep ? kept : drop_dim(kept, dim), {x},
                [shape = x.shape(), reduced, factor](const Tensor& dy, InputGradients& inputs) {
                  const Tensor rows = raw::with_shape(raw::contiguous(dy), reduced);
                  inputs.add(0, raw::broadcast_to(scaled(rows, factor), shape));
                });
}

}  // namespace

Tensor sum(const Tensor& x) { return sum_all("sum", x, 1.0); }

Tensor mean(const Tensor& x) {
  require(x.elements() > 0, "mean of a tensor of shape {}", x.shape().text());
  return sum_all("mean", x, 1.0 / static_cast<double>(x.elements()));
}

Tensor sum(const Tensor& x, int dim, bool keep) {
  raw::check_floating("sum", x);
  return sum_dim("sum", x, raw::checked_dim("sum", x, dim), keep, 1.0);
}

Tensor mean(const Tensor& x, int dim, bool keep) {
  raw::check_floating("mean", x);
  const int d = raw::checked_dim("mean", x, dim);
  require(x.dim(d) > 0, "mean over dim {} of a tensor of shape {}", d, x.shape().text());
  return sum_dim("mean", x, d, keep, 1.0 / static_cast<double>(x.dim(d)));
}

}  // namespace troupe
