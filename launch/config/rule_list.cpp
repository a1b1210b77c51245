#include "launch/config/rule_list.h"

namespace troupe {

void RuleList::add(const std::string& key, const std::vector<std::string>& reads, std::string rule,
                   std::string fix) {
  if (values_.broken(key)) return;
  for (const std::string& read : reads) {
    if (values_.broken(read)) return;
  }
  Problem problem;
  problem.key = key;
  if (const ConfigValue* entry = values_.find(key)) {
    problem.place = entry->place;
    problem.value = entry->given;
    if (entry->given.empty()) {
      problem.place = values_.nearest_location(key);
      problem.value =
          ConfigValues::shown(*entry) + (entry->automatic.empty() ? " (default)" : " (auto)");
    }
  }
  problem.rule = std::move(rule);
  problem.fix = std::move(fix);
  problems_.push_back(std::move(problem));
}

}  // namespace troupe
