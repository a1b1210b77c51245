// What a SwiGLU network keeps in memory, dense or as a bank of experts.
#pragma once

#include "models/parts/part_memory.h"

namespace troupe {

// Over `rows` rows of width `dim`, spread over `experts` experts of width `ffn_dim`.
PartMemory swiglu_memory(const MemoryContext& context, int64_t experts, int64_t rows, int64_t dim,
                         int64_t ffn_dim);

}  // namespace troupe
