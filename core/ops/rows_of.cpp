#include "core/ops/rows_of.h"

#include "core/base/error.h"
#include "core/kernels/elementwise.h"

namespace troupe {

Tensor rows_of(const Tensor& x) {
  require(x.rank() >= 1, "a product needs rows, got a tensor of shape {}", x.shape().text());
  const int64_t columns = x.dim(-1);
  int64_t rows = 1;
  for (int dim = 0; dim + 1 < x.rank(); ++dim) rows *= x.dim(dim);
  const Shape shape{rows, columns};
  if (x.contiguous()) return x.strided(shape, {columns, 1}, 0);
  const bool as_it_lies = x.rank() == 2 && x.strides()[1] == 1 && x.strides()[0] >= columns;
  if (as_it_lies) return x.detach();
  const Tensor copy = Tensor::empty(x.shape(), x.dtype(), x.device());
  kernels::copy(x.stream(), x.view(), copy.view());
  return copy.strided(shape, {columns, 1}, 0);
}

Tensor shaped_like(const Tensor& rows, const Shape& like) {
  Shape shape = like;
  shape[-1] = rows.dim(-1);
  return rows.strided(shape, contiguous_strides(shape), 0);
}

}  // namespace troupe
