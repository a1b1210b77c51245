// Floating numbers of a file in a wider type, which has all their values.
#pragma once

#include <cstddef>
#include <cstdint>

#include "core/tensor/dtype.h"

namespace troupe::checkpoint {

// bf16 to f32 or f64, f32 to f64.
bool can_widen(DType from, DType to);
void widen(DType from_type, const std::byte* from, int64_t count, DType to_type, std::byte* to);

}  // namespace troupe::checkpoint
