// Whole tensors from the parts that ranks hold, for comparisons between layouts.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "core/parameter/state.h"
#include "parallel/comm/communicator.h"

namespace troupe::laws {

struct NamedTensor {
  std::string name;
  std::vector<double> values;  // the global tensor
};

// The tensors whose name begins with `prefix`, without it, in the order in which the ranks list
// them. A rank need not hold all of them (pipeline stages). An element is the mean of all ranks
// that hold it, so a copy that went astray shows; one that nobody holds is NaN. Collective; every
// rank gets the result.
std::vector<NamedTensor> gather_whole(const State& state, const std::string& prefix,
                                      Communicator& world, const std::shared_ptr<Device>& device);

// Every rank's bytes, in rank order. Collective.
std::vector<std::vector<uint8_t>> gather_bytes(const std::vector<uint8_t>& own, Communicator& world,
                                               const std::shared_ptr<Device>& device);

}  // namespace troupe::laws
