// Consecutive elements of a tensor as a box of it.
#pragma once

#include <cstdint>

#include "core/parameter/layout.h"

namespace troupe {

// Elements [first, first + count) in row-major order, which must be a box: whole rows of one dim
// inside one index of each dim before it. Anything else is a bug.
Box box_of_range(const Shape& shape, int64_t first, int64_t count);

}  // namespace troupe
