// The one place where partial sums, such as those of ranks, are added: element by element, in their
// order. bf16 is added in f32 and rounded once.
#pragma once

#include <cstdint>
#include <vector>

#include "core/tensor/dtype.h"

namespace troupe::kernels::cpu {

// out[i] = ((in[0][i] + in[1][i]) + in[2][i]) + ...; out may be one of the inputs.
void ordered_sum(DType dtype, const std::vector<const void*>& in, void* out, int64_t elements);

}  // namespace troupe::kernels::cpu
