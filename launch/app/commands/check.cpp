// troupe check CONFIG [key=value...] [--ranks N] [--json]
#include <fmt/core.h>

#include <nlohmann/json.hpp>

#include "core/base/log.h"
#include "core/text/json_text.h"
#include "launch/app/command.h"
#include "launch/app/command_line.h"
#include "launch/app/output.h"
#include "launch/config/load.h"
#include "launch/config/optimizer_groups.h"
#include "launch/config/resolved.h"
#include "launch/config/run_cost.h"
#include "launch/training/rank_runtime.h"
#include "launch/training/training_data.h"
#include "models/cost/estimate.h"
#include "models/families/lookup/configured_model.h"
#include "models/layouts/layout_text.h"

namespace troupe {
namespace {

using nlohmann::ordered_json;

struct Findings {
  RunConfig config;
  std::vector<std::string> warnings;
  ModelSize size;
  MemoryEstimate memory;
  CommunicationEstimate communication;
};

std::string amount(int64_t bytes) {
  const auto value = static_cast<double>(bytes);
  if (bytes >= 1000000000) return fmt::format("{:.2f} GB", value / 1e9);
  if (bytes >= 1000000) return fmt::format("{:.1f} MB", value / 1e6);
  if (bytes >= 1000) return fmt::format("{:.1f} kB", value / 1e3);
  return fmt::format("{} B", bytes);
}

void print_json(const Findings& found) {
  ordered_json json;
  json["config"] = ordered_json::parse(resolved_json(found.config));
  json["config_hash"] = config_hash(found.config);
  json["ranks"] = found.config.parallel.shape.world();
  json["parameters"] = found.size.parameters;
  json["active_parameters"] = found.size.active_parameters;
  json["optimizer_groups"] = ordered_json::array();
  for (const GroupCount& group : count_groups(found.config)) {
    json["optimizer_groups"].push_back(
        {{"match", group.match.empty() ? ordered_json() : ordered_json(group.match)},
         {"lr_scale", group.lr_scale},
         {"weight_decay", group.weight_decay},
         {"parameters", group.parameters},
         {"elements", group.elements}});
  }
  ordered_json memory;
  memory["total_bytes"] = found.memory.total_bytes;
  for (int kind = 0; kind < kMemoryKinds; ++kind) {
    const auto which = static_cast<MemoryKind>(kind);
    memory[std::string(name(which)) + "_bytes"] = found.memory.of(which);
  }
  for (const MemoryPart& part : found.memory.parts) memory["parts"][part.name] = part.bytes;
  json["memory"] = memory;
  json["comm_bytes_per_step"] = found.communication.bytes_per_step;
  json["comm_bytes_between_nodes"] = found.communication.between_nodes;
  for (const CommunicationPart& part : found.communication.parts) {
    ordered_json& bytes = json["comm_parts"][part.name];  // over all groups
    bytes = (bytes.is_null() ? 0 : bytes.get<int64_t>()) + part.bytes;
  }
  json["warnings"] = found.warnings;
  output::print("{}\n", json_text(json, 2));
}

void print_groups(const RunConfig& config) {
  const std::vector<GroupCount> groups = count_groups(config);
  if (!groups.empty()) output::print("\noptimizer groups (first match wins)\n");
  for (const GroupCount& group : groups) {
    output::print("  {:<28} lr x {:<8} weight decay {:<8} {:>5} parameters {:>14} elements\n",
                  group.match.empty() ? "all others" : group.match, group.lr_scale,
                  group.weight_decay, group.parameters, group.elements);
  }
}

void print_text(const Findings& found) {
  const RunConfig& config = found.config;
  output::print("{}\n", resolved_yaml(config, {.folder = "."}));
  output::print("config hash         {}\n", config_hash(config));
  output::print("ranks               {} ({})\n", config.parallel.shape.world(),
                describe(config.parallel));
  output::print("parameters          {}\n", found.size.parameters);
  output::print("active parameters   {} (read for one token)\n", found.size.active_parameters);
  output::print("tokens per step     {}\n", config.train.global_batch * config.model.seq_len);
  print_groups(config);
  output::print("\nmemory of the heaviest rank, routing taken as even: {}\n",
                amount(found.memory.total_bytes));
  for (const MemoryPart& part : found.memory.parts) {
    output::print("  {:<28} {:<14} {:>12}\n", part.name, name(part.kind), amount(part.bytes));
  }
  output::print("\nsent by one rank per step, routing taken as even: {}\n",
                amount(found.communication.bytes_per_step));
  for (const CommunicationPart& part : found.communication.parts) {
    output::print("  {:<28} {:<14} {:>12}\n", part.name, "over " + part.group, amount(part.bytes));
  }
  for (const std::string& warning : found.warnings) log::warning("{}", warning);
}

int run(std::span<const std::string> args) {
  CommandLine line(
      "check", "CONFIG [key=value...] [--ranks N] [--json]",
      "Checks a configuration and shows all that follows from it: every value with its "
      "origin, parameters, memory and communication. Starts nothing.");
  line.option("ranks", "N", "", "ranks of the job; default: the fewest that the layout allows")
      .flag("json", "one JSON object on stdout")
      .positionals(1, SIZE_MAX);
  const std::optional<Arguments> arguments = line.parse(args);
  if (!arguments) return 0;
  const ConfigWords words = config_words(arguments->positionals);
  const int ranks =
      arguments->given("ranks") ? static_cast<int>(arguments->integer("ranks", 1, 1 << 20)) : 0;
  LoadedConfig loaded = load_config(words.file, words.overrides, ranks);
  if (loaded.config.model.vocab == 0) {
    const auto tokenizer = open_tokenizer(loaded.config);
    resolve_vocab(loaded.config, tokenizer->vocab_size());
    resolve_end_of_text(loaded.config, end_of_text(*tokenizer));
  }
  Findings found;
  found.size = model_size(loaded.config.model);
  const int threads = loaded.config.runtime.threads;
  found.memory = estimate_memory(
      cost_inputs(loaded.config),
      threads > 0 ? threads : automatic_threads(loaded.config.parallel.shape.world()));
  found.communication = estimate_communication(cost_inputs(loaded.config));
  found.config = std::move(loaded.config);
  found.warnings = std::move(loaded.warnings);
  if (arguments->flag("json")) {
    print_json(found);
  } else {
    print_text(found);
  }
  return 0;
}

}  // namespace

Command command_check() {
  Command command;
  command.place = 10;
  command.name = "check";
  command.arguments = "CONFIG [key=value...]";
  command.summary = "check a configuration and show what it amounts to";
  command.run = run;
  command.alone = true;
  return command;
}

}  // namespace troupe
