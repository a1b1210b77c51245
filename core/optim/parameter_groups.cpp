#include "core/optim/parameter_groups.h"

#include <fnmatch.h>

namespace troupe {

bool matches(const ParameterGroup& group, const std::string& name) {
  return fnmatch(group.match.c_str(), name.c_str(), FNM_NOESCAPE) == 0;
}

std::optional<size_t> group_of(const std::vector<ParameterGroup>& groups, const std::string& name) {
  for (size_t i = 0; i < groups.size(); ++i) {
    if (matches(groups[i], name)) return i;
  }
  return std::nullopt;
}

}  // namespace troupe
