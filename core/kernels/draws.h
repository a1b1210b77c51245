// Random numbers as functions of (random, rows[r], column): out [R, C] in f32 or f64, rows i64 [R],
// both contiguous.
#pragma once

#include "core/base/random.h"
#include "core/device/device.h"
#include "core/tensor/view.h"

namespace troupe::kernels {

// Uniform in [1 - epsilon, 1 + epsilon).
void jitter_draws(Stream& stream, const Random& random, View rows, double epsilon, View out);

// Standard normal.
void normal_draws(Stream& stream, const Random& random, View rows, View out);

}  // namespace troupe::kernels
