#include "launch/training/machine_rate.h"

#include <algorithm>
#include <chrono>

#include "core/kernels/cpu/fma_peak.h"
#include "core/tensor/tensor.h"

namespace troupe {
namespace {

constexpr int kPeakTimes = 8;
constexpr int kProductTimes = 5;

// FLOPs of all ranks over the time from the first one's start to the last one's end, in the best of
// `times` bursts.
double rate_of(const kernels::cpu::Burst& burst, int times, Communicator& world,
               const std::shared_ptr<Device>& device) {
  std::vector<double> own{burst.flops};
  for (int i = 0; i < times; ++i) {
    world.barrier("machine rate").finish();
    const auto begin = std::chrono::steady_clock::now();
    burst.run();
    world.barrier("machine rate").finish();
    own.push_back(std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count());
  }
  const auto count = static_cast<int64_t>(own.size());
  const Tensor in = Tensor::from(std::span<const double>(own), {count}, DType::f64, device);
  const Tensor out =
      Tensor::empty({world.size() * count}, DType::f64, device, MemoryKind::communication);
  world.all_gather(in.view(), out.view(), "machine rate").finish();
  const std::vector<double> all = out.values();
  const auto of_rank = [&](int rank, int64_t i) {
    return all[static_cast<size_t>(rank * count + i)];
  };
  double flops = 0;
  for (int rank = 0; rank < world.size(); ++rank) flops += of_rank(rank, 0);
  double best = 0;
  for (int64_t i = 1; i < count; ++i) {
    double longest = 0;
    for (int rank = 0; rank < world.size(); ++rank) longest = std::max(longest, of_rank(rank, i));
    best = std::max(best, flops / longest);
  }
  return best;
}

// The matrices are no part of what a run needs at its peak.
std::shared_ptr<Device> device_apart(Device& device) {
  return Device::cpu(device.stream().threads);
}

}  // namespace

MachineRates measure_rates(DType compute, const std::vector<kernels::cpu::GemmSize>& sizes,
                           Communicator& world, const std::shared_ptr<Device>& device) {
  const std::shared_ptr<Device> apart = device_apart(*device);
  MachineRates out;
  const kernels::cpu::Burst multiply_adds = kernels::cpu::fma_burst(apart->stream(), compute);
  out.fma_peak = rate_of(multiply_adds, kPeakTimes, world, device);
  const std::vector<kernels::cpu::Burst> products =
      kernels::cpu::gemm_bursts(apart->stream(), compute, sizes);
  for (size_t i = 0; i < sizes.size(); ++i) {
    const double rate = rate_of(products[i], kProductTimes, world, device);
    if (rate <= out.gemm) continue;
    out.gemm = rate;
    out.shape = sizes[i];
  }
  // Once more at another time; a product shows what the machine can do, too.
  out.fma_peak =
      std::max({out.fma_peak, rate_of(multiply_adds, kPeakTimes, world, device), out.gemm});
  return out;
}

MachineRates best_of(const MachineRates& a, const MachineRates& b) {
  MachineRates out = a.gemm >= b.gemm ? a : b;
  out.fma_peak = std::max(a.fma_peak, b.fma_peak);
  return out;
}

double total_gemm_rate(DType compute, Communicator& world, const std::shared_ptr<Device>& device) {
  const std::shared_ptr<Device> apart = device_apart(*device);
  const auto products = kernels::cpu::gemm_bursts(apart->stream(), compute, {{1024, 1024, 1024}});
  return rate_of(products[0], kProductTimes, world, device);
}

}  // namespace troupe
