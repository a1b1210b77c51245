// Kernels that know positions: rotary embedding and dropout.
#pragma once

#include "core/base/random.h"
#include "core/device/device.h"
#include "core/tensor/view.h"

namespace troupe::kernels {

// x [T, H, hd] with a contiguous last dim; cosine, sine [positions, hd / 2] in the wide type of x;
// positions i32 [T]. Pairs (i, i + hd / 2) turn by their angle, or back when inverse.
void rope(Stream& stream, View x, View cosine, View sine, View positions, bool inverse, View y);

// y[t, d] = x[t, d] / (1 - rate) where the draw (rows[t], d) keeps it, else 0. x, y contiguous [T,
// D].
void dropout(Stream& stream, View x, double rate, const Random& random, View rows, View y);

}  // namespace troupe::kernels
