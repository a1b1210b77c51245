// Helpers of the products of rows with weights.
#pragma once

#include <cstdint>

#include "core/kernels/cpu/product.h"
#include "core/kernels/packed_weights.h"

namespace troupe::kernels::cpu {

// rows [m, k] times some columns of the weight.
const Product& weight_product(Device& device, const WeightOperand& weight, int64_t rows,
                              int64_t columns, DType out);

// Makes the products of every row count that a piece of an expert may have. Nothing for one matrix:
// its row counts do not change from step to step.
void prepare_rows(Device& device, const WeightOperand& weight, int64_t columns, DType out);

// Width of the panels of the right operand of a weight gradient (pack_groups); 0: as it lies.
int right_block(Device& device, DType dtype, int64_t n);

}  // namespace troupe::kernels::cpu
