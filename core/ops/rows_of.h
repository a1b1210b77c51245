// A tensor [..., n] seen as the rows of a matrix: what products with weights work on.
#pragma once

#include "core/tensor/tensor.h"

namespace troupe {

// The value as [rows, n] with contiguous columns, without a tape; copied only when it does not lie
// so already.
Tensor rows_of(const Tensor& x);
// [rows, n] back to the shape of `like` with n as its last dim.
Tensor shaped_like(const Tensor& rows, const Shape& like);

}  // namespace troupe
