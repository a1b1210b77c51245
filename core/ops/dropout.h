// Dropout with counter-based random numbers.
#pragma once

#include "core/base/random.h"
#include "core/tensor/tensor.h"

namespace troupe {

// x [T, D] (or [..., D]): keeps an element with probability 1 - rate and divides it by 1 - rate.
// The draw of element (t, d) is a pure function of (random, rows[t], d), so a recompute, another
// layout or another micro-batching draws the same. rows: i64, one per row of x
// (TokenContext::draw_index).
Tensor dropout(const Tensor& x, double rate, const Random& random, const Tensor& rows);

}  // namespace troupe
