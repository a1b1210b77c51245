// What every Communicator must do: the same cases run on thread ranks and under mpirun. Each case
// is entered by all ranks of the group.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "parallel/comm/communicator.h"

namespace troupe::testing {

struct ConformanceCase {
  std::string name;
  void (*run)(Communicator& world);
};
const std::vector<ConformanceCase>& conformance_cases();

// A hash over the bits of all ranks' results of many collectives; the same on every rank and, for
// the same number of ranks, on every backend.
uint64_t conformance_hash(Communicator& world);

}  // namespace troupe::testing
