#include "launch/config/recorded_lineage.h"

#include <fmt/core.h>

#include "launch/config/record_lines.h"

namespace troupe {
namespace {

constexpr const char* kDescends = "# Descends from ";

}  // namespace

std::string lineage_lines(const std::vector<Ancestor>& lineage) {
  std::string lines;
  for (const Ancestor& ancestor : lineage) {
    lines += fmt::format("{}{} {}\n", kDescends, ancestor.content, ancestor.path);
  }
  return lines;
}

std::vector<Ancestor> recorded_lineage(const std::string& text) {
  std::vector<Ancestor> lineage;
  for (const std::string& line : record_lines(text, kDescends)) {
    constexpr size_t kDigits = 32;
    if (line.find_first_not_of("0123456789abcdef") != kDigits || line[kDigits] != ' ') continue;
    lineage.push_back({line.substr(0, kDigits), line.substr(kDigits + 1)});
  }
  return lineage;
}

}  // namespace troupe
