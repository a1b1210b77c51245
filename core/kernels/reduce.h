// Sums with an order fixed by the shape: chunks of fixed size, added in order.
#pragma once

#include <span>

#include "core/device/device.h"
#include "core/tensor/view.h"

namespace troupe::kernels {

// in [outer, mid, inner] -> out [outer, inner], both contiguous, floating; summed in the wide type
// of in. out[o, i] = sum over m of in[o, m, i].
void sum_middle(Stream& stream, View in, View out);

// One of several views of a sum.
struct Part {
  View x;
  template <typename F>
  void for_each_view(F&& f) {
    f(x);
  }
};
// out[i] = ((parts[0][i] + parts[1][i]) + parts[2][i]) + ..., all contiguous and of one type; bf16
// added in f32. out may be one of the parts.
void sum_in_order(Stream& stream, std::span<const Part> parts, View out);

}  // namespace troupe::kernels
