#include "launch/config/rules.h"

#include <fmt/core.h>

#include <filesystem>

#include "launch/config/layout_sentences.h"
#include "launch/config/moe_rules.h"
#include "launch/config/optimizer_groups.h"
#include "launch/config/rule_list.h"
#include "launch/config/size_rules.h"
#include "models/families/lookup/configured_model.h"
#include "models/layouts/layout_rules.h"

namespace troupe {
namespace {

void check_model(const RunConfig& config, RuleList& rules) {
  const auto key = [](const std::string& field) { return "model." + field; };
  for (FamilyProblem& problem : find_family(config.model.family).problems(config.model)) {
    std::vector<std::string> reads;
    for (const std::string& field : problem.reads) reads.push_back(key(field));
    if (!problem.or_give.empty()) problem.fix += "; or give " + key(problem.or_give);
    rules.add(key(problem.field), reads, std::move(problem.rule), std::move(problem.fix));
  }
}

void check_layout(const RunConfig& config, int world, Purpose purpose, RuleList& rules) {
  const Parallelism& parallel = config.parallel;
  LayoutInputs subject = layout_inputs(config.model);
  if (purpose == Purpose::train) {
    subject.global_batch = config.train.global_batch;
    const bool automatic = !config.values.find("train.micro_batch")->automatic.empty();
    subject.micro_batch = automatic ? 0 : config.train.micro_batch;
  }
  for (const LayoutProblem& problem : layout_problems(parallel, subject, world)) {
    LayoutSentence text = sentence(problem, parallel, subject, world);
    rules.add(text.key, text.reads, std::move(text.rule), std::move(text.fix));
  }
}

void check_data(const RunConfig& config, RuleList& rules) {
  const auto changed = [&](const char* key) {
    const ConfigValue* entry = config.values.find(key);
    return entry->place.source != Source::none && entry->value != entry->key->default_value;
  };
  // 0 says in words what data.val means: nothing of the training text is held out.
  if (!config.data.val.empty() && changed("data.val_fraction") &&
      config.values.real("data.val_fraction") != 0) {
    rules.add("data.val_fraction", {"data.val"}, "has no effect: data.val names the held-out text",
              "remove one of them");
  }
  if (!changed("data.field")) return;
  if (config.data.text.format == TextFormat::text)
    rules.add("data.field", {"data.format"}, "has no effect: data.format is text", "remove it");
  if (config.data.text.format != TextFormat::by_name) return;
  std::vector<std::string> paths;
  for (const DataSource& source : config.data.train) paths.push_back(source.path);
  if (!config.data.val.empty()) paths.push_back(config.data.val);
  for (const std::string& path : paths) {
    const std::string extension = std::filesystem::path(path).extension().string();
    if (extension != ".txt" && extension != ".md") return;  // may hold JSON lines
  }
  rules.add("data.field", {"data"}, "has no effect: no source has JSON lines (.jsonl)",
            "remove it");
}

void check_paths(const RunConfig& config, RuleList& rules) {
  const std::string& name = config.run.name;
  if (name.find('/') != std::string::npos || name == "." || name == "..") {
    rules.add("run.name", {}, "is a name, not a path", "put directories into run.dir");
  }
}

}  // namespace

std::vector<Problem> problems(const RunConfig& config, int world, Purpose purpose) {
  RuleList rules(config.values);
  check_model(config, rules);
  check_sizes(config, purpose, rules);
  check_moe(config, purpose, rules);
  check_groups(config, rules);
  check_layout(config, world, purpose, rules);
  check_data(config, rules);
  check_paths(config, rules);
  return rules.take();
}

std::vector<std::string> warnings(const RunConfig& config) {
  std::vector<std::string> list;
  if (config.schedule.schedule_options.has("warmup") &&
      std::holds_alternative<int64_t>(config.schedule.schedule_options.values().at("warmup"))) {
    const int64_t warmup = config.schedule.schedule_options.integer("warmup");
    if (warmup >= config.train.steps) {
      list.push_back(fmt::format(
          "schedule.warmup = {} is not shorter than train.steps = {}: the learning rate only rises",
          warmup, config.train.steps));
    }
  }
  for (const std::string& text : moe_warnings(config)) list.push_back(text);
  return list;
}

}  // namespace troupe
