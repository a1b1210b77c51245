// Where experts live: expert -> (rank of the expert group, slot on it). The one place that knows.
#pragma once

#include <cstdint>
#include <vector>

namespace troupe {

struct ExpertHome {
  int32_t rank = 0;
  int32_t slot = 0;
};

struct Placement {
  std::vector<ExpertHome> home;  // [experts]
  int64_t ranks = 1;
  int64_t slots = 0;    // per rank
  int64_t version = 0;  // changes when experts move

  int64_t experts() const { return static_cast<int64_t>(home.size()); }
  // Consecutive experts on consecutive ranks, as the bank's Layout cuts dim 0. Throws Error(usage)
  // with the legal values when the experts do not divide.
  static Placement identity(int64_t experts, int64_t ranks);
};

}  // namespace troupe
