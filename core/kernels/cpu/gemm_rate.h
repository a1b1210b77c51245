// How fast this machine multiplies matrices: a limit that the speed of a step is printed beside.
#pragma once

#include <cstdint>
#include <vector>

#include "core/device/device.h"
#include "core/kernels/cpu/burst.h"
#include "core/tensor/dtype.h"

namespace troupe::kernels::cpu {

// x [m, k] times a weight [n, k].
struct GemmSize {
  int64_t m = 0;
  int64_t n = 0;
  int64_t k = 0;
};

// One product with a packed weight for each size, cut into pieces over the stream's team. They
// share their operands, which are made here, and live as long as the stream.
std::vector<Burst> gemm_bursts(Stream& stream, DType dtype, const std::vector<GemmSize>& sizes);

// Square 1024 and 2048, and the given shapes.
std::vector<GemmSize> gemm_sizes(const std::vector<GemmSize>& more = {});

struct GemmRate {
  double flops_per_second = 0;
  GemmSize size;  // where it was reached
};

// The best of `times` products of each size.
GemmRate gemm_rate(Stream& stream, DType dtype, const std::vector<GemmSize>& sizes, int times = 5);

}  // namespace troupe::kernels::cpu
