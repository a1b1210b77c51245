#include "moe/layer/capacity_drops.h"

#include <algorithm>
#include <vector>

#include "moe/dispatch/capacity.h"
#include "moe/dispatch/tie.h"

namespace troupe {
namespace {

// The probability of each token's choice, for comparisons.
std::vector<double> largest_of_rows(const Tensor& probabilities_TB) {
  const std::vector<double> p = probabilities_TB.values();
  const auto bins = static_cast<size_t>(probabilities_TB.dim(1));
  std::vector<double> out;
  for (size_t begin = 0; begin < p.size(); begin += bins) {
    double most = 0.0;
    for (size_t b = begin; b < begin + bins; ++b) most = std::max(most, p[b]);
    out.push_back(tie_score(most, probabilities_TB.dtype()));
  }
  return out;
}

}  // namespace

void drop_over_capacity(const MoEConfig& config, const Router& router, const Groups& groups,
                        double factor, const Routing& routing, SparseAssignment& assignment) {
  const bool by_gate = config.priority == Priority::gate;
  for (size_t l = 0; l + 1 < routing.levels.size(); ++l) {
    const RoutingLevel& level = routing.levels[l];
    const CapacityRule rule{factor, config.min_capacity, config.priority, 1, false};
    std::vector<double> weights;
    if (by_gate) weights = largest_of_rows(level.probabilities_TB);
    apply_group_capacity(rule, groups, level.bin, level.bins, weights, assignment);
  }
  const CapacityRule rule{factor, config.min_capacity, config.priority, router.choices(),
                          router.first_choices_first()};
  std::vector<double> weights;
  if (by_gate) {
    weights = assignment.weight.values();
    for (double& weight : weights) weight = tie_score(weight, assignment.weight.dtype());
  }
  apply_capacity(rule, groups, weights, assignment);
}

}  // namespace troupe
