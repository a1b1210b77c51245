// Adds up what one rank sends in a step, by part and group, and how much of it leaves its node.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "models/cost/estimate.h"
#include "parallel/mesh/rank_group.h"

namespace troupe {

class Outgoing {
 public:
  Outgoing(const Parallelism& parallelism, int rank) : parallelism_(parallelism), rank_(rank) {}

  // to: bytes to each rank of the group, whose own entry is not read.
  void add(const char* part, const RankGroup& group, const std::vector<int64_t>& to);
  // As much to each of the others: what an all-gather sends.
  void add_each(const char* part, const RankGroup& group, int64_t bytes);
  // All-reduces of so many elements.
  void add_sums(const char* part, const RankGroup& group, int64_t sums, int64_t elements,
                int64_t element_bytes);

  const CommunicationEstimate& estimate() const { return estimate_; }

 private:
  const Parallelism& parallelism_;
  int rank_;
  CommunicationEstimate estimate_;
};

}  // namespace troupe
