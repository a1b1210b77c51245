// Bounds on what a configuration amounts to.
#pragma once

#include "launch/config/load.h"
#include "launch/config/rule_list.h"

namespace troupe {

// Refuses models and steps so large that 64-bit counts of parameters and bytes would overflow,
// each with the product that is too large and the largest value of one of its factors.
void check_sizes(const RunConfig& config, Purpose purpose, RuleList& rules);

}  // namespace troupe
