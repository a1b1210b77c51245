// The best columns of each row of scores.
#pragma once

#include "core/device/device.h"
#include "core/tensor/view.h"

namespace troupe::kernels {

// best[r] = the columns of the k largest scores[r, e] + bias[e], largest first, ties to the lowest
// column; distinct and in range whatever the scores are: NaN counts as minus infinity. Sums and
// comparisons in f64. scores [R, E] in f32 or f64; bias [E] of the same type, null data = none;
// best i32 [R, k], k <= E; all contiguous.
void top_k(Stream& stream, View scores, View bias, View best);

}  // namespace troupe::kernels
