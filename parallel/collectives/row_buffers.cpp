#include "parallel/collectives/row_buffers.h"

#include "core/kernels/elementwise.h"

namespace troupe {

Tensor with_rows(const Tensor& like, int64_t rows) {
  Shape shape = like.shape();
  shape[0] = rows;
  return Tensor::empty(shape, like.dtype(), like.device(), MemoryKind::communication);
}

Tensor packed_rows(const Tensor& dy) {
  if (dy.contiguous()) return dy;
  Tensor out = Tensor::empty(dy.shape(), dy.dtype(), dy.device());
  kernels::copy(out.stream(), dy.view(), out.view());
  return out;
}

}  // namespace troupe
