// Elementwise arithmetic with NumPy broadcasting. Both operands have the same floating type; bf16
// is computed in f32.
#pragma once

#include "core/tensor/tensor.h"

namespace troupe {

Tensor add(const Tensor& a, const Tensor& b);
Tensor sub(const Tensor& a, const Tensor& b);
Tensor mul(const Tensor& a, const Tensor& b);
Tensor div(const Tensor& a, const Tensor& b);
// factor * x + offset
Tensor affine(const Tensor& x, double factor, double offset);
Tensor scale(const Tensor& x, double factor);

// x += y, in place and without a gradient: refused when x is on the tape. Same shape and type.
void add_in_place(Tensor& x, const Tensor& y);

}  // namespace troupe
