// Sums with an order fixed by the shape: chunks of fixed size, added in order.
#pragma once

#include "core/device/device.h"
#include "core/tensor/view.h"

namespace troupe::kernels {

// in [outer, mid, inner] -> out [outer, inner], both contiguous, floating; summed in the wide type
// of in. out[o, i] = sum over m of in[o, m, i].
void sum_middle(Stream& stream, View in, View out);

}  // namespace troupe::kernels
