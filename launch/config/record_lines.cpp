#include "launch/config/record_lines.h"

#include <algorithm>

namespace troupe {

std::vector<std::string> record_lines(const std::string& text, const std::string& beginning) {
  std::vector<std::string> rests;
  for (size_t begin = 0; begin < text.size() && text[begin] == '#';) {
    const size_t end = std::min(text.find('\n', begin), text.size());
    const std::string line = text.substr(begin, end - begin);
    if (line.rfind(beginning, 0) == 0) rests.push_back(line.substr(beginning.size()));
    begin = end + 1;
  }
  return rests;
}

}  // namespace troupe
