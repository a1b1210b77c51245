// Helpers of the products of rows with weights.
#pragma once

#include <cstdint>

#include "core/kernels/cpu/packed_weights.h"
#include "core/kernels/cpu/product.h"

namespace troupe::kernels {

// rows [m, k] times some columns of the weight.
const Product& weight_product(Device& device, const WeightOperand& weight, int64_t rows,
                              int64_t columns, DType out);

// Makes the products of every row count that a piece of an expert may have. Nothing for one matrix:
// its row counts do not change from step to step.
void prepare_rows(Device& device, const WeightOperand& weight, int64_t columns, DType out);

}  // namespace troupe::kernels
