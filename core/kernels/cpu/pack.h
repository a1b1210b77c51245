// Writing the packed forms of a weight. Layout, with g = 16 (f32) or 32 (bf16) rows k a group:
// element (k, n) of B [K, N] stands in panel n / block, group k / g; f32: [16][block]; bf16:
// [16][block][2], rows k and k + 1 side by side. K % g = 0 and N % block = 0.
#pragma once

#include <cstdint>

#include "core/tensor/dtype.h"

namespace troupe::kernels {

// rows of W [out, in] (f32, contiguous rows), from `row` on, into B = W^T: k = in, n = out.
// row and rows: multiples of block, or of 16 when block divides them.
void pack_transposed(const float* w, int64_t row, int64_t rows, int64_t in, int block, DType to,
                     void* packed);
// rows of W [out, in] into B = W: k = out, n = in. row and rows: multiples of the group, or any
// number of rows that ends at out.
void pack_straight(const float* w, int64_t row, int64_t rows, int64_t out, int64_t in, int block,
                   DType to, void* packed);
// As it lies, converted.
void convert_rows(const float* from, int64_t count, BF16* to);

}  // namespace troupe::kernels
