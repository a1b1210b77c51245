#include "parallel/checkpoint/save_warnings.h"

#include "core/base/log.h"

namespace troupe::checkpoint {

void SaveWarnings::say(const std::string& topic, std::set<std::string> warnings) {
  std::set<std::string>& before = said_[topic];
  for (const std::string& warning : warnings) {
    if (before.count(warning) == 0) log::warning("{}", warning);
  }
  before = std::move(warnings);
}

}  // namespace troupe::checkpoint
