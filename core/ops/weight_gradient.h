// The weight half of ops that multiply rows with a weight or a bank of weights.
#pragma once

#include <cstdint>
#include <span>

#include "core/parameter/parameter.h"
#include "core/tensor/tensor.h"

namespace troupe {

// Adds gradient_e^T x_e to the main gradient of the weight [E, O, I] (or [O, I]), for the rows of
// each expert. gradient: [R, O], x: [R, I], both with contiguous columns.
void add_weight_gradient(const Tensor& gradient, const Tensor& x,
                         std::span<const int64_t> rows_per_expert, Parameter& weight);

}  // namespace troupe
