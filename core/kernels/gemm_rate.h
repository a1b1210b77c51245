// How fast this machine multiplies matrices: the limit that the speed of a step is printed beside.
#pragma once

#include <cstdint>
#include <vector>

#include "core/device/device.h"
#include "core/tensor/dtype.h"

namespace troupe::kernels {

// x [m, k] times a weight [n, k].
struct GemmSize {
  int64_t m = 0;
  int64_t n = 0;
  int64_t k = 0;
};

struct GemmRate {
  double flops_per_second = 0;
  GemmSize size;  // where it was reached
};

// The best, over the sizes, of the median rate of a product with a packed weight, cut into pieces
// over the stream's team. Takes about `seconds` for each size, at least 3 products.
GemmRate gemm_rate(Stream& stream, DType dtype, const std::vector<GemmSize>& sizes,
                   double seconds = 0.3);

// Square 1024, 2048 and 4096, and the given shapes.
std::vector<GemmSize> gemm_sizes(const std::vector<GemmSize>& more = {});

// One size, below 0.3 s on a machine of 100 GFLOP/s and more: for metrics.
GemmRate quick_gemm_rate(Stream& stream, DType dtype);

}  // namespace troupe::kernels
