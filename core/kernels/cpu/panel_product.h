// Products by own code, for processors and shapes where oneDNN has no good code: blocks of rows of
// A and panels of columns of B, packed where they are not (panel_kernel.h). An element of C is a
// sum over k in an order that k alone decides: not the rows or columns beside it, nor how B lies.
// bf16 operands are widened when they are packed; their sums are f32.
#pragma once

#include "core/kernels/cpu/product.h"

namespace troupe::kernels::cpu {

// Columns of a panel in which B is best packed (pack.h).
int64_t panel_columns(DType dtype);

// Working memory of one product, 64-byte aligned.
int64_t panel_workspace_bytes(const ProductShape& shape);
// m, n and k > 0. B: plain, or in panels of a multiple of panel_columns() columns.
void panel_product(const ProductShape& shape, const void* a, const void* b, void* c,
                   std::byte* workspace);

}  // namespace troupe::kernels::cpu
