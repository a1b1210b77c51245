// Helpers of the operators that record nothing.
#pragma once

#include "core/tensor/tensor.h"

namespace troupe::raw {

// The value without its tape, copied if it is not contiguous.
Tensor contiguous(const Tensor& x);
// A view of x with broadcast dims (stride 0) of the given shape.
Tensor broadcast_to(const Tensor& x, const Shape& shape);
// Sums the dims over which a tensor of `shape` was broadcast to that of x.
Tensor sum_to(const Tensor& x, const Shape& shape);
// [.., mid, ..] of a contiguous tensor as [outer, mid, inner].
Tensor as_outer_mid_inner(const Tensor& x, int dim);
// The dim as a non-negative index; throws when out of range.
int checked_dim(const char* op, const Tensor& x, int dim);
void check_floating(const char* op, const Tensor& x);
void check_same_type(const char* op, const Tensor& a, const Tensor& b);
// A contiguous tensor under another shape with as many elements.
Tensor with_shape(const Tensor& x, const Shape& shape);

}  // namespace troupe::raw
