#include "launch/training/machine_rate.h"

#include "core/kernels/gemm_rate.h"
#include "core/tensor/tensor.h"

namespace troupe {

double total_gemm_rate(DType compute, Communicator& world, const std::shared_ptr<Device>& device) {
  const double own = kernels::quick_gemm_rate(device->stream(), compute).flops_per_second;
  const Tensor sum = Tensor::full({1}, DType::f64, own, device, MemoryKind::communication);
  world.all_reduce_sum(sum.view(), "machine rate").wait();
  return sum.item();
}

}  // namespace troupe
