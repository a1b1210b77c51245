#include "launch/config/moe_rules.h"

#include <fmt/core.h>
#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <set>

#include "launch/config/build.h"
#include "launch/config/scalar.h"
#include "launch/config/variants.h"
#include "models/model/legal.h"
#include "moe/balance/balance.h"
#include "moe/routers/table.h"

namespace troupe {
namespace {

std::string listed(const std::vector<int64_t>& numbers) {
  return fmt::format("{}", fmt::join(numbers, ", "));
}

// The routers of the file: one mapping, or the entries of a list.
struct RouterEntry {
  std::string path;  // "moe.router" or "moe.router[1]"
  std::string type;
  Options options;
};

std::vector<RouterEntry> router_entries(const ConfigValues& values) {
  std::vector<std::string> paths;
  for (int i = 0; i < values.count("moe.router"); ++i) {
    paths.push_back(fmt::format("moe.router[{}]", i));
  }
  if (paths.empty()) paths.emplace_back("moe.router");
  std::vector<RouterEntry> entries;
  for (const std::string& path : paths) {
    RouterEntry entry{path, values.text(path + ".type"), {}};
    const RouterDescriptor* router = find_router(entry.type);
    if (router == nullptr) continue;
    entry.options = Options(router->fields);
    for (const Field& field : router->fields) {
      if (const ConfigValue* value = values.find(path + "." + field.name)) {
        entry.options.set(field.name, value->value);
      }
    }
    entries.push_back(std::move(entry));
  }
  return entries;
}

bool changed(const ConfigValues& values, const std::string& key) {
  const ConfigValue* entry = values.find(key);
  return entry != nullptr && entry->place.source != Source::none && entry->automatic.empty() &&
         entry->value != entry->key->default_value;
}

// Layer numbers exist, are given once, and the routers of a list cover them exactly once.
void check_layers(const RunConfig& config, const std::vector<RouterEntry>& routers,
                  RuleList& rules) {
  const ConfigValues& values = config.values;
  const int64_t layers = config.model.layers;
  const std::vector<int64_t> numbers = moe_layer_numbers(config);
  std::set<int64_t> moe;
  for (const int64_t layer : numbers) {
    if (layer >= layers) {
      rules.add("moe.layers", {"model.layers"},
                fmt::format("layer {} does not exist: model.layers = {}, so layers are 0 to {}",
                            layer, layers, layers - 1),
                fmt::format("nearest legal value: {}", layers - 1));
    } else if (!moe.insert(layer).second) {
      rules.add("moe.layers", {}, fmt::format("layer {} stands twice", layer),
                "remove one of them");
    }
  }
  if (moe.empty()) {
    const bool list = values.has("moe.layers");
    const bool sparse = !list && values.integer("moe.layers.every") > layers;
    rules.add(list     ? "moe.layers"
              : sparse ? "moe.layers.every"
                       : "moe.layers.first_dense",
              {"moe.layers", "model.layers"},
              list ? std::string("no layer has experts")
                   : fmt::format("no layer has experts: the first would be {} + {} - 1 = {}, and "
                                 "layers are 0 to {}",
                                 values.integer("moe.layers.first_dense"),
                                 values.integer("moe.layers.every"),
                                 values.integer("moe.layers.first_dense") +
                                     values.integer("moe.layers.every") - 1,
                                 layers - 1),
              "write `moe: none` for a dense model");
    return;
  }
  if (values.count("moe.router") == 0) return;
  std::map<int64_t, std::string> served;
  for (const RouterEntry& router : routers) {
    const std::string key = router.path + ".layers";
    for (const double number : values.list(key)) {
      const auto layer = static_cast<int64_t>(number);
      if (moe.count(layer) == 0) {
        rules.add(key, {"moe.layers", "model.layers"},
                  fmt::format("layer {} has no experts", layer),
                  fmt::format("layers with experts: {}", fmt::join(moe, ", ")));
      } else if (const auto [at, fresh] = served.emplace(layer, router.path); !fresh) {
        rules.add(key, {"moe.layers", "model.layers"},
                  fmt::format("layer {} is already served by {}", layer, at->second),
                  "name each layer once");
      }
    }
  }
  std::vector<int64_t> left;
  for (const int64_t layer : moe) {
    if (served.count(layer) == 0) left.push_back(layer);
  }
  if (!left.empty()) {
    rules.add("moe.router[0].layers", {"moe.layers", "model.layers", "moe.router"},
              fmt::format("no router serves layer{} {}", left.size() == 1 ? "" : "s",
                          fmt::join(left, ", ")),
              "add them to the `layers` of one router");
  }
}

// What a router says of its options; it may begin with the name of one: "router.seed is ...".
void add_router_problem(const RouterEntry& entry, const std::string& text, RuleList& rules) {
  std::string key = entry.path + ".type";
  std::string rule = text;
  if (text.rfind("router.", 0) == 0) {
    const std::string option = text.substr(7, text.find(' ') - 7);
    if (rules.values().has(entry.path + "." + option)) {
      key = entry.path + "." + option;
      rule = text.substr(text.find(' ') + 1);
    }
  }
  rules.add(key, {entry.path, "moe.experts"}, rule, "see `troupe help moe.router`");
}

void check_routers(const RunConfig& config, const std::vector<RouterEntry>& routers,
                   RuleList& rules) {
  const ConfigValues& values = config.values;
  const int64_t experts = values.integer("moe.experts");
  bool capacity_read = false;
  bool precision_read = false;
  std::string types;
  for (const RouterEntry& entry : routers) {
    const RouterDescriptor& router = router_named(entry.type);
    types += (types.empty() ? "" : ", ") + entry.type;
    capacity_read = capacity_read || router.uses_min_capacity;
    precision_read = precision_read || router.has_parameters;
    if (router.choices != nullptr && router.choices(entry.options) > experts) {
      const int64_t k = router.choices(entry.options);
      const std::string top_k = entry.path + "." + router.choices_option;
      rules.add(values.has(top_k) ? top_k : entry.path + ".type",
                {entry.path + ".type", "moe.experts"},
                fmt::format("chooses {} experts for each token, and moe.experts = {}", k, experts),
                fmt::format("nearest legal value: {}", values.has(top_k)
                                                           ? fmt::format("{}", experts)
                                                           : fmt::format("moe.experts: {}", k)));
    } else if (router.problem != nullptr) {
      if (const std::string text = router.problem(entry.options, experts); !text.empty()) {
        add_router_problem(entry, text, rules);
      }
    }
    if (router.needs_capacity && values.is_word("moe.capacity_factor", "none")) {
      rules.add("moe.capacity_factor", {entry.path + ".type"},
                fmt::format("router {} fills each expert up to its capacity, so it cannot be "
                            "dropless (none)",
                            entry.type),
                "write a number: 1.0 gives each token one expert on average");
    } else if (router.needs_capacity && values.is_word("moe.capacity_factor_eval", "none")) {
      rules.add("moe.capacity_factor_eval", {entry.path + ".type"},
                fmt::format("router {} fills each expert up to its capacity, in evaluation too",
                            entry.type),
                "write a number, or same");
    }
    if (router.unread == nullptr) continue;
    for (const UnreadOption& unread : router.unread(entry.options)) {
      const std::string key = entry.path + "." + unread.option;
      if (changed(values, key))
        rules.add(key, {entry.path}, "has no effect: " + unread.reason, "remove it");
    }
  }
  const auto ineffective = [&](const char* key) {
    if (!changed(values, key)) return;
    rules.add(key, {"moe.router"}, fmt::format("has no effect: router {} does not read it", types),
              "remove it");
  };
  if (!capacity_read) {
    ineffective("moe.min_capacity");
    ineffective("moe.priority");
  }
  if (!precision_read) ineffective("moe.router_precision");
  if (config.model.compute == DType::f64 && values.text("moe.router_precision") == "f32") {
    rules.add("moe.router_precision", {"precision.compute"},
              "the router uses the wider of f32 and precision.compute, which is f64",
              "nearest legal value: f64 (or auto)");
  }
}

void check_balance(const RunConfig& config, const std::vector<RouterEntry>& routers,
                   RuleList& rules) {
  const ConfigValues& values = config.values;
  std::map<std::pair<std::string, std::string>, int> seen;
  for (int i = 0; i < values.count("moe.balance"); ++i) {
    const std::string path = fmt::format("moe.balance[{}]", i);
    BalanceTerm term;
    term.type = values.text(path + ".type");
    term.coef = values.real(path + ".coef");
    const auto [at, fresh] = seen.emplace(std::pair(term.type, values.text(path + ".scope")), i);
    if (!fresh) {
      rules.add(
          path + ".type", {path, fmt::format("moe.balance[{}]", at->second)},
          fmt::format("the same term with the same scope stands at moe.balance[{}]", at->second),
          "remove one of them, or add their coefficients");
    }
    if (term.coef == 0) continue;  // turned off
    std::string reason;
    bool somewhere = false;
    std::vector<std::string> reads{path};
    for (const RouterEntry& router : routers) {
      reads.push_back(router.path + ".type");
      const std::string& option = router_named(router.type).balance_option;
      if (!option.empty()) reads.push_back(router.path + "." + option);
      std::string text = balance_problem(term, router.type, router.options);
      if (text.empty()) somewhere = true;
      if (reason.empty()) reason = std::move(text);
    }
    if (somewhere) continue;
    std::vector<std::string> legal;
    for (const char* type : {"switch", "z", "importance", "load"}) {
      for (const RouterEntry& router : routers) {
        const BalanceTerm other{type, 1.0, BalanceScope::sequence};
        if (balance_problem(other, router.type, router.options).empty()) {
          legal.emplace_back(type);
          break;
        }
      }
    }
    rules.add(path + ".type", reads, reason,
              legal.empty() ? std::string("no term is legal with this router: remove it")
                            : fmt::format("legal with this router: {}", fmt::join(legal, ", ")));
  }
}

void check_groups(const RunConfig& config, RuleList& rules) {
  const ConfigValues& values = config.values;
  const int64_t micro = config.train.micro_batch;
  if (values.has("moe.group.sequences")) {
    const int64_t sequences = values.integer("moe.group.sequences");
    if (micro % sequences != 0) {
      rules.add(
          "moe.group.sequences", {"train", "parallel"},
          fmt::format("a group lies inside one micro-batch, so micro_batch must be a multiple "
                      "of it: {} = {} x {} + {}",
                      micro, micro / sequences, sequences, micro % sequences),
          "legal values near it: " + listed(near_divisors(micro, sequences)));
    }
    return;
  }
  if (values.is_word("moe.group", "sequence")) return;
  const int64_t tokens = values.integer("moe.group");
  const int64_t all = micro * config.model.seq_len;
  if (all % tokens != 0) {
    rules.add(
        "moe.group", {"train", "parallel", "model.seq_len"},
        fmt::format("a group lies inside one micro-batch, so micro_batch x seq_len = {} x {} "
                    "= {} must be a multiple of it: {} = {} x {} + {}",
                    micro, config.model.seq_len, all, all, all / tokens, tokens, all % tokens),
        "legal values near it: " + listed(near_divisors(all, tokens)));
  }
}

// Experts that choose cannot take more than all tokens; with other routers such a factor only means
// that nothing is dropped (moe_warnings.cpp).
void check_capacity_factor(const RunConfig& config, const std::vector<RouterEntry>& routers,
                           RuleList& rules) {
  const bool experts_choose =
      std::any_of(routers.begin(), routers.end(),
                  [](const RouterEntry& entry) { return router_named(entry.type).needs_capacity; });
  if (!experts_choose) return;
  const int64_t experts = config.values.integer("moe.experts");
  for (const char* key : {"moe.capacity_factor", "moe.capacity_factor_eval"}) {
    const ConfigValue* entry = config.values.find(key);
    const auto* factor = std::get_if<double>(&entry->value);
    if (factor == nullptr || *factor <= static_cast<double>(experts) || !entry->automatic.empty()) {
      continue;
    }
    rules.add(key, {"moe.experts"},
              fmt::format("with {} experts a factor above {} takes more tokens than there are",
                          experts, experts),
              fmt::format("nearest legal value: {}", format_real(static_cast<double>(experts))));
  }
}

}  // namespace

void check_moe(const RunConfig& config, Purpose purpose, RuleList& rules) {
  if (config.values.is_word("moe", "none")) return;
  const std::vector<RouterEntry> routers = router_entries(config.values);
  check_layers(config, routers, rules);
  check_routers(config, routers, rules);
  check_balance(config, routers, rules);
  check_capacity_factor(config, routers, rules);
  if (purpose == Purpose::train) {
    check_groups(config, rules);
  }
}

}  // namespace troupe
