// Collects broken rules with the place and value of their key.
#pragma once

#include <string>
#include <utility>
#include <vector>

#include "launch/config/config_values.h"

namespace troupe {

class RuleList {
 public:
  explicit RuleList(const ConfigValues& values) : values_(values) {}
  // key: whose value breaks the rule; reads: the other keys that the rule looks at. When one of
  // them has a problem of its own, nothing is added.
  void add(const std::string& key, const std::vector<std::string>& reads, std::string rule,
           std::string fix);
  const ConfigValues& values() const { return values_; }
  std::vector<Problem> take() { return std::move(problems_); }

 private:
  const ConfigValues& values_;
  std::vector<Problem> problems_;
};

}  // namespace troupe
