// Helpers of the products of rows with weights.
#pragma once

#include <cstdint>

#include "core/kernels/product.h"
#include "core/kernels/weight_forms.h"

namespace troupe::kernels {

// rows [m, k] times some columns of the weight.
const Product& weight_product(Device& device, const WeightOperand& weight, int64_t rows,
                              int64_t columns, DType out);

}  // namespace troupe::kernels
