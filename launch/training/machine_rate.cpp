#include "launch/training/machine_rate.h"

#include "core/kernels/gemm_rate.h"
#include "core/tensor/tensor.h"

namespace troupe {

double total_gemm_rate(DType compute, Communicator& world, const std::shared_ptr<Device>& device) {
  // On a device of its own: the matrices are no part of what the run needs at its peak.
  const std::shared_ptr<Device> apart = Device::cpu(device->stream().threads);
  const double own = kernels::quick_gemm_rate(apart->stream(), compute).flops_per_second;
  const Tensor sum = Tensor::full({1}, DType::f64, own, device, MemoryKind::communication);
  world.all_reduce_sum(sum.view(), "machine rate").wait();
  return sum.item();
}

}  // namespace troupe
