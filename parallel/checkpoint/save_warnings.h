// Warnings of the saves of one run, which come again with every save while their cause lasts: each
// is given once, and again when it has been away.
#pragma once

#include <map>
#include <set>
#include <string>

namespace troupe::checkpoint {

class SaveWarnings {
 public:
  // All that a save has to say about a topic, which may be nothing.
  void say(const std::string& topic, std::set<std::string> warnings);

 private:
  std::map<std::string, std::set<std::string>> said_;  // by the last save, by topic
};

}  // namespace troupe::checkpoint
