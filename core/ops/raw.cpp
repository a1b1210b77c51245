#include "core/ops/raw.h"

#include "core/base/error.h"
#include "core/kernels/elementwise.h"
#include "core/kernels/reduce.h"

namespace troupe::raw {

Tensor contiguous(const Tensor& x) {
  if (x.contiguous()) return x.detach();
  Tensor out = Tensor::empty(x.shape(), x.dtype(), x.device());
  kernels::copy(x.stream(), x.view(), out.view());
  return out;
}

Tensor broadcast_to(const Tensor& x, const Shape& shape) {
  if (x.shape() == shape) return x.detach();
  require(x.rank() <= shape.rank(), "a tensor of shape {} does not broadcast to {}",
          x.shape().text(), shape.text());
  Shape strides = shape;
  const int extra = shape.rank() - x.rank();
  for (int i = 0; i < shape.rank(); ++i) {
    const int64_t size = i < extra ? 1 : x.dim(i - extra);
    require(size == shape[i] || size == 1, "a tensor of shape {} does not broadcast to {}",
            x.shape().text(), shape.text());
    strides[i] = i < extra || size == 1 ? 0 : x.strides()[i - extra];
  }
  return x.strided(shape, strides, 0);
}

Tensor with_shape(const Tensor& x, const Shape& shape) {
  require(x.contiguous() && x.elements() == shape.elements(), "shape {} seen as {}",
          x.shape().text(), shape.text());
  return x.strided(shape, contiguous_strides(shape), 0);
}

Tensor as_outer_mid_inner(const Tensor& x, int dim) {
  int64_t outer = 1;
  int64_t inner = 1;
  for (int i = 0; i < dim; ++i) outer *= x.dim(i);
  for (int i = dim + 1; i < x.rank(); ++i) inner *= x.dim(i);
  return with_shape(x, {outer, x.dim(dim), inner});
}

Tensor sum_to(const Tensor& x, const Shape& shape) {
  if (x.shape() == shape) return x.detach();
  const int extra = x.rank() - shape.rank();
  Tensor current = contiguous(x);
  for (int dim = x.rank() - 1; dim >= 0; --dim) {
    const bool summed = dim < extra || (shape[dim - extra] == 1 && x.dim(dim) != 1);
    if (!summed) continue;
    Shape reduced = current.shape();
    reduced[dim] = 1;
    const Tensor parts = as_outer_mid_inner(current, dim);
    Tensor next = Tensor::empty(reduced, wide(x.dtype()), x.device());
    kernels::sum_middle(x.stream(), parts.view(),
                        with_shape(next, {parts.dim(0), parts.dim(2)}).view());
    current = next;
  }
  if (current.dtype() != x.dtype()) {
    Tensor narrow = Tensor::empty(current.shape(), x.dtype(), x.device());
    kernels::copy(x.stream(), current.view(), narrow.view());
    current = narrow;
  }
  return with_shape(current, shape);
}

int checked_dim(const char* op, const Tensor& x, int dim) {
  const int positive = dim < 0 ? dim + x.rank() : dim;
  require(positive >= 0 && positive < x.rank(), "{}: dim {} of a tensor of shape {}", op, dim,
          x.shape().text());
  return positive;
}

void check_floating(const char* op, const Tensor& x) {
  require(is_floating(x.dtype()), "{} of a {} tensor", op, name(x.dtype()));
}

void check_same_type(const char* op, const Tensor& a, const Tensor& b) {
  require(a.dtype() == b.dtype(), "{} of {} and {} tensors: cast one first", op, name(a.dtype()),
          name(b.dtype()));
  check_floating(op, a);
}

}  // namespace troupe::raw
