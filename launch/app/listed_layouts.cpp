#include "launch/app/listed_layouts.h"

#include <fmt/core.h>

#include <algorithm>
#include <set>
#include <sstream>

#include "core/base/error.h"
#include "launch/config/nearest.h"
#include "models/layouts/layout_text.h"

namespace troupe {
namespace {

class ListReader {
 public:
  explicit ListReader(const ListOptions& options) : options_(options) {}

  VerifiedLayout layout(const std::string& text) {
    VerifiedLayout out{Parallelism(), 1, {}};
    out.parallelism.ranks_per_node = options_.ranks_per_node;
    std::set<std::string> words_of_key;
    std::set<std::string> given;  // the rest follows
    std::istringstream words(text);
    for (std::string word; std::getline(words, word, ',');) {
      std::erase(word, ' ');
      const size_t equals = word.find('=');
      if (equals == std::string::npos) refuse(word, "KEY=VALUE is expected");
      const std::string key = word.substr(0, equals);
      const std::string value = word.substr(equals + 1);
      if (!words_of_key.insert(key).second) refuse(word, key + " is given twice in one layout");
      if (value == "auto" && may_follow(key)) continue;
      given.insert(key);
      set(key, value, out);
    }
    fill(given, out.parallelism);
    return out;
  }

 private:
  [[noreturn]] static void refuse(const std::string& word, const std::string& why) {
    fail(ExitCode::usage,
         "--layouts: '{}': {}; write all, or layouts as in \"tp=2,pp=2;ep=8,zero=3\"", word, why);
  }
  static bool may_follow(const std::string& key) {
    return key == "dp" || key == "sp" || key == "ranks_per_node";
  }
  // What was not given.
  void fill(const std::set<std::string>& given, Parallelism& p) const {
    MeshShape& shape = p.shape;
    const int64_t others = int64_t{shape[Axis::pp]} * shape[Axis::cp] * shape[Axis::tp];
    if (!given.contains("dp")) {
      shape[Axis::dp] = static_cast<int>(std::max<int64_t>(1, options_.ranks / others));
    }
    if (!given.contains("sp")) p.sp = shape[Axis::tp] > 1;
    shape.derive_edp();
    if (p.ranks_per_node == 0) p.ranks_per_node = acting_ranks_per_node(p);
  }

  static int number(const std::string& key, const std::string& value) {
    constexpr int kMost = 1 << 20;  // as for the keys of a configuration: products fit 64 bits
    try {
      size_t used = 0;
      const int out = std::stoi(value, &used);
      if (used == value.size() && out >= (key == "zero" ? 0 : 1) && out <= kMost) return out;
    } catch (const std::exception&) {
    }
    refuse(key + "=" + value, "is no number of the right size");
  }
  template <typename T>
  static T word(const std::string& key, const std::string& value, const EnumNames<T>& all) {
    for (const auto& [name, choice] : all) {
      if (value == name) return choice;
    }
    refuse(key + "=" + value, "no such choice (see `troupe help parallel." + key + "`)");
  }

  static void set(const std::string& key, const std::string& value, VerifiedLayout& out) {
    Parallelism& p = out.parallelism;
    for (Axis axis : {Axis::pp, Axis::dp, Axis::cp, Axis::tp, Axis::ep, Axis::etp}) {
      if (key != name(axis)) continue;
      p.shape[axis] = number(key, value);
      return;
    }
    if (key == "sp") {
      if (value != "true" && value != "false") refuse(key + "=" + value, "true or false");
      p.sp = value == "true";
    } else if (key == "zero") {
      p.zero = number(key, value);
      if (p.zero > 3) refuse(key + "=" + value, "0 to 3");
    } else if (key == "virtual_stages") {
      p.virtual_stages = number(key, value);
    } else if (key == "ranks_per_node") {
      p.ranks_per_node = number(key, value);
    } else if (key == "overlap") {
      out.overlap = number(key, value);
    } else if (key == "schedule") {
      p.schedule = word(key, value, pipeline_schedule_names());
    } else if (key == "cp_kind") {
      p.cp_kind = word(key, value, cp_kind_names());
    } else if (key == "ep_kind") {
      p.ep_kind = word(key, value, ep_kind_names());
    } else {
      const std::string near =
          nearest(key, {"pp", "dp", "cp", "tp", "ep", "etp", "sp", "zero", "virtual_stages",
                        "ranks_per_node", "overlap", "schedule", "cp_kind", "ep_kind"});
      refuse(key, near.empty() ? "no such key" : "no such key; did you mean " + near + "?");
    }
  }

  const ListOptions& options_;
};

}  // namespace

std::vector<VerifiedLayout> listed_layouts(const std::string& list, const LayoutInputs& subject,
                                           const ListOptions& options) {
  std::vector<VerifiedLayout> out;
  ListReader reader(options);
  std::istringstream layouts(list);
  for (std::string text; std::getline(layouts, text, ';');) {
    if (text.find_first_not_of(' ') == std::string::npos) continue;
    out.push_back(reader.layout(text));
    out.back().refused = broken_layout_rules(out.back().parallelism, subject, options.ranks);
  }
  if (out.empty()) fail(ExitCode::usage, "--layouts names no layout; write all or \"tp=2;ep=8\"");
  return out;
}

}  // namespace troupe
