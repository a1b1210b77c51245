// Elementwise kernels. Views may be strided and broadcast (stride 0) on the inputs; outputs are
// contiguous unless said. Same shape on all unless said. bf16 is computed in f32.
#pragma once

#include "core/device/device.h"
#include "core/tensor/view.h"

namespace troupe::kernels {

// out = a + b; out may be a or b.
void add(Stream& stream, View a, View b, View out);
// out = in, converted between floating types.
void copy(Stream& stream, View in, View out);

}  // namespace troupe::kernels
