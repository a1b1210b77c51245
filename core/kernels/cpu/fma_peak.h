// How fast this machine multiplies and adds where nothing but registers takes part: no product can
// be faster.
#pragma once

#include "core/device/device.h"
#include "core/kernels/cpu/burst.h"
#include "core/tensor/dtype.h"

namespace troupe::kernels::cpu {

// About 4 ms of fused multiply-adds on every thread of the stream's team, with the instructions in
// use (instruction_set.h). f64, f32, or bf16: by instructions of its own where there are some (AMX,
// AVX512_BF16), or by those of f32, to which numbers can be widened: whichever is faster. The
// stream lives as long as the burst.
Burst fma_burst(Stream& stream, DType dtype);

}  // namespace troupe::kernels::cpu
