// What the machines of all ranks do at most in products of one type: the limits that speeds are
// printed beside.
#pragma once

#include <memory>
#include <vector>

#include "core/kernels/cpu/gemm_rate.h"
#include "core/tensor/dtype.h"
#include "parallel/comm/communicator.h"

namespace troupe {

// FLOPs per second of all ranks together.
struct MachineRates {
  double fma_peak = 0;           // multiply-adds on registers alone: fma_peak.h
  double gemm = 0;               // products with packed weights
  kernels::cpu::GemmSize shape;  // where that was reached
};

// The best of some short bursts of each kind, which all ranks run at the same time, as in training.
// A few tenths of a second. Collective.
MachineRates measure_rates(DType compute, const std::vector<kernels::cpu::GemmSize>& sizes,
                           Communicator& world, const std::shared_ptr<Device>& device);
// The better of each.
MachineRates best_of(const MachineRates& a, const MachineRates& b);

// Of products alone and of one size, below 0.2 s: what metrics compare with. Collective.
double total_gemm_rate(DType compute, Communicator& world, const std::shared_ptr<Device>& device);

}  // namespace troupe
