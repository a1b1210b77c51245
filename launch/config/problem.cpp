#include "launch/config/problem.h"

#include <fmt/core.h>

#include <algorithm>
#include <tuple>

namespace troupe {

std::string text(const SourceLocation& place) {
  switch (place.source) {
    case Source::file:
      if (place.line == 0) return "file";
      return fmt::format("{}:{}", place.line, place.column);
    case Source::command_line:
      return "command line";
    case Source::automatic:
      return "auto";
    case Source::none:
      break;
  }
  return "default";
}

std::string text(const Problem& problem) {
  std::string line = text(problem.place) + ": ";
  if (!problem.key.empty()) {
    line += problem.key;
    if (!problem.value.empty()) line += " = " + problem.value;
    line += ": ";
  }
  line += problem.rule;
  if (!problem.fix.empty()) line += "; " + problem.fix;
  return line;
}

std::string message(std::vector<Problem> problems, const std::string& file) {
  const auto order = [](const Problem& p) {
    const int source = p.place.source == Source::file           ? 0
                       : p.place.source == Source::command_line ? 2
                                                                : 1;
    return std::tuple(source, p.place.line, p.place.column);
  };
  std::stable_sort(problems.begin(), problems.end(),
                   [&](const Problem& a, const Problem& b) { return order(a) < order(b); });
  std::string all = fmt::format("{}: {} problem{} in the configuration", file, problems.size(),
                                problems.size() == 1 ? "" : "s");
  for (const Problem& problem : problems) all += "\n  " + text(problem);
  return all;
}

}  // namespace troupe
