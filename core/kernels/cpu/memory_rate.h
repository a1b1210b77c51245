// How fast this machine reads memory: the limit of work that uses each weight once.
#pragma once

#include <cstdint>

#include "core/device/device.h"

namespace troupe::kernels::cpu {

// Bytes per second at which the stream's team reads a block of `bytes` over and over: the best of
// whole passes, about `seconds` of them and at least 5. A block that fits a cache is read from it.
double read_rate(Stream& stream, int64_t bytes, double seconds = 0.3);

}  // namespace troupe::kernels::cpu
