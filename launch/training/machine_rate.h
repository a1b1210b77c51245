// The matrix-product rate of all ranks together: the limit that metrics compare with.
#pragma once

#include <memory>

#include "core/tensor/dtype.h"
#include "parallel/comm/communicator.h"

namespace troupe {

// FLOPs per second, summed over the ranks, which measure at the same time; takes about 0.3 s.
// Collective.
double total_gemm_rate(DType compute, Communicator& world, const std::shared_ptr<Device>& device);

}  // namespace troupe
