// optimizer.groups against the parameters of the model: which group has which, and what is wrong.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "launch/config/rule_list.h"
#include "launch/config/run_config.h"

namespace troupe {

struct GroupCount {
  std::string match;  // empty: the parameters that no group matches
  double lr_scale = 1.0;
  double weight_decay = 0.0;  // of those that decay at all
  int64_t parameters = 0;
  int64_t elements = 0;  // of the whole model, whatever the layout
};

// One for each group in their order, then the rest. Empty without groups.
std::vector<GroupCount> count_groups(const RunConfig& config);

// A group without parameters: a pattern that matches none, or only those of earlier groups.
void check_groups(const RunConfig& config, RuleList& rules);

}  // namespace troupe
