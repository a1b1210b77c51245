#include "core/ops/matmul.h"

#include "core/autograd/tape.h"
#include "core/base/error.h"
#include "core/device/operator.h"
#include "core/kernels/gemm.h"

namespace troupe {
namespace {

Tensor product(const Tensor& a, bool transpose_a, const Tensor& b, bool transpose_b) {
  require(a.rank() == b.rank() && (a.rank() == 2 || a.rank() == 3),
          "matmul of shapes {} and {}: both must have 2 dims, or 3 with a common batch",
          a.shape().text(), b.shape().text());
  require(a.dtype() == b.dtype() && is_floating(a.dtype()), "matmul of {} and {}", name(a.dtype()),
          name(b.dtype()));
  Shape shape;
  if (a.rank() == 3) shape.append(a.dim(0));
  shape.append(a.dim(transpose_a ? -1 : -2));
  shape.append(b.dim(transpose_b ? -2 : -1));
  Tensor out = Tensor::empty(shape, a.dtype(), a.device());
  kernels::gemm(out.stream(), a.view(), transpose_a, b.view(), transpose_b, out.view(), false);
  return out;
}

}  // namespace

// out = A B with A = op(a), B = op(b): dA = dout B^T, dB = A^T dout.
Tensor matmul(const Tensor& a, const Tensor& b, bool transpose_a, bool transpose_b) {
  const Operator op("matmul", a.stream());
  return record(op, product(a, transpose_a, b, transpose_b), {a, b},
                [left = Saved(a), right = Saved(b), transpose_a, transpose_b](
                    const Tensor& gradient, InputGradients& inputs) {
                  const Tensor& a = left.get("matmul");
                  const Tensor& b = right.get("matmul");
                  if (inputs.needs(0)) {
                    inputs.add(0, transpose_a ? product(b, transpose_b, gradient, true)
                                              : product(gradient, false, b, !transpose_b));
                  }
                  if (inputs.needs(1)) {
                    inputs.add(1, transpose_b ? product(gradient, true, a, transpose_a)
                                              : product(a, !transpose_a, gradient, false));
                  }
                });
}

}  // namespace troupe
