// Matrix products on whole views. A product is cut over output rows and columns by a rule that does
// not know the number of threads; each piece is one single-threaded call, so bits do not depend on
// the team.
#pragma once

#include "core/device/device.h"
#include "core/tensor/view.h"

namespace troupe::kernels {

// out = op(a) op(b), or out += op(a) op(b) when accumulate. 2-D: op(a) [M, K], op(b) [K, N], out
// [M, N]; 3-D: the same with a leading batch dim on all three (stride 0 = shared). transpose_x: x
// is stored with its last two dims exchanged. a and b: the same type of f64, f32, bf16; out: that
// type, or f32 for bf16 operands (sums of bf16 products are kept in f32). Any strides with one of
// the last two equal to 1 are used as they lie; others are copied. Sizes of 0 are legal: K = 0
// gives zeros (or leaves out as it is when accumulating). out must not overlap a or b.
void gemm(Stream& stream, View a, bool transpose_a, View b, bool transpose_b, View out,
          bool accumulate);

}  // namespace troupe::kernels
