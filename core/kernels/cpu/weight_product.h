// Helpers of the products of rows with weights.
#pragma once

#include <cstdint>

#include "core/kernels/product.h"
#include "core/kernels/weight_forms.h"

namespace troupe::kernels {

// rows [m, k] times some columns of the weight.
const Product& weight_product(Device& device, const WeightOperand& weight, int64_t rows,
                              int64_t lda, int64_t columns, DType out, int64_t ldc);

// Copies `rows` rows of `columns` elements of `size` bytes and fills up to filled_rows with zeros.
void copy_rows(const void* from, int64_t from_ld, int64_t rows, int64_t filled_rows,
               int64_t columns, int64_t size, void* to, int64_t to_ld);

}  // namespace troupe::kernels
