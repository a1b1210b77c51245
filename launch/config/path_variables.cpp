#include "launch/config/path_variables.h"

#include <fmt/core.h>

#include <algorithm>
#include <cstdlib>
#include <string_view>

#include "launch/config/parse_value.h"

namespace troupe {
namespace {

bool letter(char c) { return c == '_' || (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z'); }
bool digit(char c) { return c >= '0' && c <= '9'; }

// The name that `text` begins with; empty when it begins with none.
std::string_view leading_name(std::string_view text) {
  if (text.empty() || !letter(text[0])) return {};
  const auto* end =
      std::find_if(text.begin(), text.end(), [](char c) { return !letter(c) && !digit(c); });
  return text.substr(0, static_cast<size_t>(end - text.begin()));
}

// A variable as it stands in the text: its name, and how many characters it takes.
struct Variable {
  std::string name;
  size_t length = 0;
};

std::optional<Variable> variable_at(std::string_view text) {
  if (text.empty() || text[0] != '$') return std::nullopt;
  const bool braces = text.size() > 1 && text[1] == '{';
  const std::string_view name = leading_name(text.substr(braces ? 2 : 1));
  if (name.empty()) return std::nullopt;
  if (!braces) return Variable{std::string(name), name.size() + 1};
  const size_t close = name.size() + 2;
  if (close >= text.size() || text[close] != '}') return std::nullopt;
  return Variable{std::string(name), close + 1};
}

}  // namespace

std::optional<std::string> process_environment(const std::string& name) {
  const char* value = std::getenv(name.c_str());
  return value == nullptr ? std::nullopt : std::optional<std::string>(value);
}

Environment told_environment(std::map<std::string, std::string> values) {
  return [values = std::move(values)](const std::string& name) {
    const auto found = values.find(name);
    return found == values.end() ? std::nullopt : std::optional<std::string>(found->second);
  };
}

std::optional<std::string> expand_path(const std::string& path, const Environment& environment,
                                       Problem& problem) {
  std::string out;
  const auto put = [&](const std::string& name) {
    const std::optional<std::string> value = environment(name);
    if (!value || value->empty()) {
      problem.rule =
          fmt::format("the environment variable {} is {}", name, value ? "empty" : "not set");
      problem.fix = fmt::format("export {}=..., or write the path out", name);
      return false;
    }
    out += *value;
    return true;
  };
  size_t at = 0;
  if (path == "~" || path.rfind("~/", 0) == 0) {
    if (!put("HOME")) return std::nullopt;
    at = 1;
  }
  while (at < path.size()) {
    if (const auto variable = variable_at(std::string_view(path).substr(at))) {
      if (!put(variable->name)) return std::nullopt;
      at += variable->length;
    } else {
      out += path[at++];
    }
  }
  if (out.size() > kLongestText) {
    problem.rule =
        fmt::format("is longer than {} bytes once its variables are put in", kLongestText);
    return std::nullopt;
  }
  return out;
}

}  // namespace troupe
