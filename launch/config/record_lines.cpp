#include "launch/config/record_lines.h"

#include <algorithm>

namespace troupe {

std::vector<std::string> record_lines(const std::string& text, const std::string& beginning) {
  std::vector<std::string> rests;
  size_t begin = text.rfind("\xef\xbb\xbf", 0) == 0 ? 3 : 0;  // saved by an editor on Windows
  while (begin < text.size() && text[begin] == '#') {
    const size_t end = std::min(text.find('\n', begin), text.size());
    std::string line = text.substr(begin, end - begin);
    if (line.back() == '\r') line.pop_back();
    if (line.rfind(beginning, 0) == 0) rests.push_back(line.substr(beginning.size()));
    begin = end + 1;
  }
  return rests;
}

}  // namespace troupe
