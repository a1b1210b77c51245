// The product of rows with a matrix of a wider type, such as the f32 matrix of a router with bf16
// rows: rows are widened piece by piece in scratch memory, and never held whole in the wide type.
// Sums are those of the product in the wide type; pieces are a rule of sizes only.
#pragma once

#include "core/device/device.h"
#include "core/tensor/view.h"

namespace troupe::kernels {

// Everywhere: x and dx [T, I] contiguous in the narrow type (bf16 or f32); weight [O, I], y and dy
// [T, O] contiguous in the wide type (f32 or f64, wider than that of x).

// y = x weight^T
void wide_linear(Stream& stream, View x, View weight, View y);
// dx = dy weight, rounded to the narrow type once.
void wide_linear_input_gradient(Stream& stream, View dy, View weight, View dx);
// gradient [O, I] = dy^T x, or += when accumulate.
void wide_linear_weight_gradient(Stream& stream, View dy, View x, View gradient, bool accumulate);

}  // namespace troupe::kernels
