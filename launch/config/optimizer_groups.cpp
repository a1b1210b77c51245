#include "launch/config/optimizer_groups.h"

#include <fmt/core.h>
#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <set>

#include "core/optim/parameter_groups.h"
#include "launch/config/nearest.h"
#include "models/families/lookup/configured_model.h"

namespace troupe {
namespace {

constexpr size_t kNamesShown = 3;

// The part of a text that begins at `begin` and holds none of these characters.
size_t end_of_part(const std::string& text, size_t begin, const char* separators) {
  return std::min(text.find_first_of(separators, begin), text.size());
}

std::set<std::string> parts_of(const std::vector<std::string>& names) {
  std::set<std::string> parts;
  for (const std::string& name : names) {
    for (size_t begin = 0; begin <= name.size();) {
      const size_t end = end_of_part(name, begin, ".");
      parts.insert(name.substr(begin, end - begin));
      begin = end + 1;
    }
  }
  return parts;
}

// The pattern with each word that occurs in no name replaced by the nearest that does.
std::string corrected(const std::string& pattern, const std::vector<std::string>& names) {
  const std::set<std::string> known = parts_of(names);
  const std::vector<std::string> words(known.begin(), known.end());
  std::string out;
  for (size_t begin = 0; begin < pattern.size();) {
    const size_t end = end_of_part(pattern, begin, ".*?[]");
    std::string word = pattern.substr(begin, end - begin);
    const bool number = word.find_first_not_of("0123456789-") == std::string::npos;
    if (!word.empty() && !number && !known.contains(word)) {
      if (const std::string near = nearest(word, words); !near.empty()) word = near;
    }
    out += word;
    if (end < pattern.size()) out += pattern[end];
    begin = end + 1;
  }
  return out;
}

std::vector<std::string> matched(const std::string& pattern,
                                 const std::vector<std::string>& names) {
  std::vector<std::string> list;
  for (const std::string& name : names) {
    if (matches(ParameterGroup{pattern, 1.0, {}}, name)) list.push_back(name);
  }
  return list;
}

// The pattern with any text for its numbers: "layers.7.*" is nearest to what other layers have.
std::string with_any_number(const std::string& pattern) {
  std::string out;
  for (const char c : pattern) {
    if (c < '0' || c > '9') {
      out += c;
    } else if (out.empty() || out.back() != '*') {
      out += '*';
    }
  }
  return out;
}

// The names that are the fewest edits away from the pattern without its stars.
std::vector<std::string> nearest_names(const std::string& pattern, std::vector<std::string> names) {
  const std::vector<std::string> alike = matched(with_any_number(pattern), names);
  if (!alike.empty()) names = alike;
  std::string plain;
  std::copy_if(pattern.begin(), pattern.end(), std::back_inserter(plain),
               [](char c) { return c != '*'; });
  std::stable_sort(names.begin(), names.end(), [&](const auto& a, const auto& b) {
    return edit_distance(plain, a) < edit_distance(plain, b);
  });
  names.resize(std::min(names.size(), kNamesShown));
  return names;
}

std::string what_to_write(const std::string& pattern, const std::vector<std::string>& names) {
  const std::string better = corrected(pattern, names);
  for (const std::string& candidate : {better, "*" + better + "*"}) {
    std::vector<std::string> found = matched(candidate, names);
    if (found.empty()) continue;
    const size_t count = found.size();
    found.resize(std::min(count, kNamesShown));
    return fmt::format("did you mean {}? It matches {}{}", candidate, fmt::join(found, ", "),
                       count > kNamesShown ? fmt::format(" and {} more", count - kNamesShown) : "");
  }
  return fmt::format("nearest names: {}", fmt::join(nearest_names(pattern, names), ", "));
}

}  // namespace

std::vector<GroupCount> count_groups(const RunConfig& config) {
  const std::vector<ParameterGroup>& groups = config.optimizer.parameter_groups;
  if (groups.empty()) return {};
  const double decay = config.optimizer.optimizer_options.real("weight_decay");
  std::vector<GroupCount> counts;
  for (const ParameterGroup& group : groups) {
    counts.push_back({group.match, group.lr_scale, group.weight_decay.value_or(decay)});
  }
  counts.push_back({"", 1.0, decay});
  for (const ParameterSpec& parameter : model_parameters(config.model, Parallelism())) {
    GroupCount& count = counts[group_of(groups, parameter.name).value_or(groups.size())];
    ++count.parameters;
    count.elements += parameter.layout.global.elements();
  }
  return counts;
}

void check_groups(const RunConfig& config, RuleList& rules) {
  const std::vector<ParameterGroup>& groups = config.optimizer.parameter_groups;
  const ConfigValues& values = rules.values();
  if (groups.empty() || values.broken("model") || values.broken("moe")) return;
  std::vector<std::string> names;
  std::map<size_t, int64_t> taken;
  for (const ParameterSpec& parameter : model_parameters(config.model, Parallelism())) {
    names.push_back(parameter.name);
    if (const auto group = group_of(groups, parameter.name)) ++taken[*group];
  }
  for (size_t i = 0; i < groups.size(); ++i) {
    if (taken[i] > 0) continue;
    const std::string key = fmt::format("optimizer.groups[{}].match", i);
    const std::vector<std::string> all = matched(groups[i].match, names);
    if (all.empty()) {
      rules.add(key, {},
                fmt::format("matches none of the {} parameters of the model", names.size()),
                what_to_write(groups[i].match, names));
      continue;
    }
    const size_t first = *group_of(groups, all.front());
    rules.add(key, {},
              fmt::format("has no effect: the first group that matches counts, and {} ({}) takes "
                          "{} before",
                          fmt::format("groups[{}]", first), groups[first].match, all.front()),
              "put the narrower pattern first, or remove it");
  }
}

}  // namespace troupe
