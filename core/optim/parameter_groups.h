// Parameters that are updated in another way than the rest: chosen by a pattern over their logical
// names, which are the same on every layout.
#pragma once

#include <cstddef>
#include <optional>
#include <string>
#include <vector>

namespace troupe {

struct ParameterGroup {
  // As file names are matched by a shell: * any text, ? one character, [0-3] one of these.
  std::string match;
  double lr_scale = 1.0;               // times the learning rate of the step
  std::optional<double> weight_decay;  // of those that decay at all; none = the optimizer's
};

// Does the pattern describe the whole name?
bool matches(const ParameterGroup& group, const std::string& name);

// The first group that matches, or nothing.
std::optional<size_t> group_of(const std::vector<ParameterGroup>& groups, const std::string& name);

}  // namespace troupe
