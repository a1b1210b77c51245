// What a configuration will cost: memory by kind of the heaviest rank, and bytes that a rank sends
// per step. Formulas stand at the functions; a test compares them with what a run counts.
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <vector>

#include "core/device/memory.h"
#include "models/cost/cost_inputs.h"

namespace troupe {

// One row of the memory table.
struct MemoryPart {
  std::string name;  // "main weights", "packed forms", ...
  MemoryKind kind;
  int64_t bytes = 0;
};

struct MemoryEstimate {
  std::vector<MemoryPart> parts;
  int64_t total_bytes = 0;  // peak of the sum
  int64_t of(MemoryKind kind) const;
};

struct CommunicationPart {
  std::string name;   // "gradients", "rows to and from experts", ...
  std::string group;  // of ranks, as the communicators are named: "dp", "cpxtp", "world", ...
  int64_t bytes = 0;  // sent to others in one step
  int64_t between_nodes = 0;  // of these to ranks on other nodes, by parallel.ranks_per_node
};

// Rows that experts get are taken as evenly spread; all else is exact.
struct CommunicationEstimate {
  std::vector<CommunicationPart> parts;
  int64_t bytes_per_step = 0;
  int64_t between_nodes = 0;
};

// The vocabulary must be resolved. threads: of one rank.
MemoryEstimate estimate_memory(const CostInputs& config, int threads);
// What rank `rank` sends; and the same of the rank that sends most.
CommunicationEstimate communication_of_rank(const CostInputs& config, int rank);
CommunicationEstimate estimate_communication(const CostInputs& config);

}  // namespace troupe
