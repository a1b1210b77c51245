// Views and copies that carry gradients. None but contiguous() and reshape() of a non-contiguous
// tensor moves data.
#pragma once

#include <span>
#include <vector>

#include "core/tensor/tensor.h"

namespace troupe {

// The same elements in row-major order under another shape. Copies if x is not contiguous.
Tensor reshape(const Tensor& x, const Shape& shape);
// Swaps two dims.
Tensor transpose(const Tensor& x, int dim_a, int dim_b);
// Elements [start, start + size) of a dim.
Tensor narrow(const Tensor& x, int dim, int64_t start, int64_t size);
// Repeats dims of size 1 (and adds leading dims) without copying, as in NumPy broadcasting.
Tensor expand(const Tensor& x, const Shape& shape);
// x itself if contiguous, else a contiguous copy.
Tensor contiguous(const Tensor& x);
// Joins tensors of equal shape (but for dim) along a dim.
Tensor concat(std::span<const Tensor> parts, int dim);
// Converts between floating types; the gradient is converted back.
Tensor cast(const Tensor& x, DType dtype);

}  // namespace troupe
