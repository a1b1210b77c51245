// What skewed loads cost: the same steps routed evenly, as the router says, and skewed.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "launch/config/run_config.h"
#include "launch/training/rank_runtime.h"

namespace troupe {

struct RoutingBench {
  std::string routing;  // a value of bench.routing
  double step_ms = 0;   // median
  double step_ms_min = 0;
  double step_ms_max = 0;
  double tokens_per_s = 0;  // all ranks, at the median
  double of_balanced = 1;   // median of the step over the balanced one of the same round
  double expert_load_max_over_mean = 0;  // worst layer
  double rank_load_max_over_mean = 0;    // rows of the busiest rank, worst layer
};

// Balanced first. One engine takes the kinds in turns, every other round backwards, so that a
// machine whose speed drifts moves all alike. `warmup` and `steps` are of each kind; throws
// Error(usage) for a model without experts. Collective.
std::vector<RoutingBench> bench_routings(const RunConfig& config, RankRuntime& runtime,
                                         int64_t warmup, int64_t steps);

}  // namespace troupe
