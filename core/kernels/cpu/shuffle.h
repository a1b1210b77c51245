// Moving 16- and 32-bit words: the inner loops of packing and transposing.
#pragma once

#include <cstdint>

namespace troupe::kernels::cpu {

// out[i] = a[i] in the lower half, b[i] in the upper half.
void interleave(const uint16_t* a, const uint16_t* b, int64_t count, uint32_t* out);

// out[c * out_ld + r] = in[r * in_ld + c].
void transpose_words(const uint32_t* in, int64_t in_ld, int64_t rows, int64_t columns,
                     uint32_t* out, int64_t out_ld);

}  // namespace troupe::kernels::cpu
