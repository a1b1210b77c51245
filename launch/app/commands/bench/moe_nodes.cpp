// troupe bench moe_nodes [CONFIG] [key=value...]: alone it makes hosts of its own and measures on
// them; as a job of mpirun it measures on the machines of the job.
#include <fmt/core.h>
#include <fmt/format.h>

#include <cstdio>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <sstream>

#include "core/base/error.h"
#include "core/text/json_text.h"
#include "launch/app/commands/bench/parts.h"
#include "launch/app/output.h"
#include "launch/bench/nodes_bench.h"
#include "launch/config/load.h"
#include "launch/job/emulated_hosts.h"
#include "launch/training/automatic_precision.h"
#include "launch/training/rank_runtime.h"
#include "parallel/comm/mpi/mpi_world.h"

namespace troupe {
namespace {

using Json = nlohmann::ordered_json;
constexpr const char* kDefaultConfig = "configs/bench/moe_nodes.yaml";

Json rows_json(const std::vector<NodesRow>& rows, bool model) {
  Json out = Json::array();
  for (const NodesRow& row : rows) {
    Json one{{"exchange", row.exchange}, {"top_k", row.top_k}, {"bytes", row.bytes},
             {"messages", row.messages}, {"ms", row.ms},       {"speed", row.speed}};
    if (model) one["val_loss"] = row.loss;
    out.push_back(one);
  }
  return out;
}

struct Figure {
  const char* name;
  double value;
  double limit;
  bool at_least;
};

// What the project promises of these measurements.
std::vector<Figure> figures(const NodesBench& bench) {
  const NodesRow& flat = bench.layer[2];
  const NodesRow& smile = bench.layer[4];
  const double losses = bench.model[2].loss / bench.model[0].loss;
  std::vector<Figure> out;
  if (bench.nodes == 2 && bench.ranks == 4) {
    // Of more nodes a token of top-8 visits nearly all, and crosses to each.
    out.push_back({"hierarchical top-8 of 64: bytes over one row per token and expert",
                   bench.of_expert_rows, 0.27, false});
    out.push_back({"hierarchical top-8 of 64: bytes over one row per token and rank",
                   bench.of_rank_rows, 0.57, false});
  }
  out.push_back(
      {"smile top-4: bytes over those of flat top-4", smile.bytes / flat.bytes, 0.28, false});
  out.push_back({"smile top-4: speed of the layer over flat top-4", smile.speed, 2.0, true});
  out.push_back({"smile: validation loss over that of flat", losses, 1.02, false});
  return out;
}

Json to_json(const NodesBench& bench, int64_t steps, const std::string& rate) {
  Json out{{"nodes", bench.nodes},
           {"ranks", bench.ranks},
           {"rate", rate},
           {"layer",
            {{"dim", NodesLayer::kDim},
             {"experts", NodesLayer::kExperts},
             {"ffn_dim", NodesLayer::kFfnDim},
             {"tokens_per_rank", NodesLayer::kTokens},
             {"rows", rows_json(bench.layer, false)}}},
           {"model", {{"steps", steps}, {"rows", rows_json(bench.model, true)}}}};
  for (const Figure& figure : figures(bench)) {
    const bool met = figure.at_least ? figure.value >= figure.limit : figure.value <= figure.limit;
    out["figures"].push_back({{"name", figure.name},
                              {"value", figure.value},
                              {figure.at_least ? "at_least" : "at_most", figure.limit},
                              {"met", met}});
  }
  return out;
}

void print_rows(const Json& rows, const std::string& label, bool model) {
  output::print("  {:<34} {:>5} {:>14} {:>9} {:>9} {:>7}{}\n", label, "top_k", "bytes across",
                "messages", "ms", "speed", model ? "  val loss" : "");
  for (const Json& row : rows) {
    output::print("  {:<34} {:>5} {:>14.0f} {:>9.0f} {:>9.1f} {:>6.2f}x{}\n",
                  row["exchange"].get<std::string>(), row["top_k"].get<int64_t>(),
                  row["bytes"].get<double>(), row["messages"].get<double>(),
                  row["ms"].get<double>(), row["speed"].get<double>(),
                  model ? fmt::format("  {:8.4f}", row["val_loss"].get<double>()) : "");
  }
}

void print(const Json& bench) {
  const std::string rate = bench["rate"];
  output::print("{} nodes, {} ranks{}\n", bench["nodes"].get<int>(), bench["ranks"].get<int>(),
                rate.empty() ? "" : ", each node sends at most " + rate);
  const Json& layer = bench["layer"];
  print_rows(layer["rows"],
             fmt::format("layer of {} experts, dim {}", layer["experts"].get<int64_t>(),
                         layer["dim"].get<int64_t>()),
             false);
  const Json& model = bench["model"];
  print_rows(model["rows"], fmt::format("model, {} steps", model["steps"].get<int64_t>()), true);
  for (const Json& figure : bench["figures"]) {
    const bool least = figure.contains("at_least");
    output::print("  {:<68} {:7.4f} ({} {}){}\n", figure["name"].get<std::string>(),
                  figure["value"].get<double>(),
                  least ? ">=" : "<=", figure[least ? "at_least" : "at_most"].get<double>(),
                  figure["met"].get<bool>() ? "" : " MISSED");
  }
}

// Several measurements, as one object or as tables.
void show(const Json& measured, bool json) {
  if (json) {
    output::print("{}\n", json_text(Json{{"hosts", measured}}));
  } else {
    for (const Json& one : measured) print(one);
  }
}

std::string config_file() {
  if (std::filesystem::is_regular_file(kDefaultConfig)) return kDefaultConfig;
  const std::string found = file_beside_program(kDefaultConfig, 3);
  if (found.empty()) {
    fail(ExitCode::usage, "bench moe_nodes: {} is not here: name a configuration", kDefaultConfig);
  }
  return found;
}

// The words of the configuration, its file first.
std::vector<std::string> config_part(const Arguments& arguments) {
  std::vector<std::string> words(arguments.positionals.begin() + 1, arguments.positionals.end());
  if (words.empty() || words[0].find('=') != std::string::npos)
    words.insert(words.begin(), config_file());
  return words;
}

// Empty: no limit.
std::string limit_of(const Arguments& arguments) {
  const std::string& rate = arguments.text("rate");
  return rate == "none" ? "" : rate;
}

int measure(const Arguments& arguments, int64_t repeats) {
  for (const char* option : {"hosts", "ranks-per-host"}) {
    if (arguments.given(option)) {
      fail(ExitCode::usage,
           "bench moe_nodes: --{} has no effect in a job of mpirun, which has its "
           "own hosts",
           option);
    }
  }
  const ConfigWords words = config_words(config_part(arguments));
  RankRuntime runtime(words.file, words.overrides);
  RunConfig config =
      load_config(words.file, words.overrides, runtime.size(), Purpose::eval, runtime.environment())
          .config;
  if (arguments.given("steps")) config.train.steps = arguments.integer("steps", 1);
  runtime.configure(config.runtime);
  agree_on_precision(config, runtime);
  TrainingData data = open_training_data(config);
  if (!data.held_out) {
    fail(ExitCode::usage, "bench moe_nodes: no held-out text; set data.val_fraction");
  }
  const NodesBench bench = bench_nodes(config, data, runtime.world(), runtime.device(), repeats);
  if (runtime.leader()) {
    const std::string rate = arguments.given("rate") ? limit_of(arguments) : "";
    show(Json::array({to_json(bench, config.train.steps, rate)}), arguments.flag("json"));
  }
  return 0;
}

std::vector<int> host_counts(const std::string& list) {
  std::vector<int> out;
  std::istringstream words(list);
  for (std::string word; std::getline(words, word, ',');) {
    const bool number = !word.empty() && word.size() < 4 &&
                        word.find_first_not_of("0123456789") == std::string::npos;
    const int hosts = number ? std::stoi(word) : 0;
    if (hosts < 2 || hosts > 64) {
      fail(ExitCode::usage, "--hosts {}: '{}' is no number of hosts from 2 to 64; write 2,4", list,
           word);
    }
    out.push_back(hosts);
  }
  if (out.empty()) fail(ExitCode::usage, "--hosts: write how many, such as 2,4");
  return out;
}

}  // namespace

int bench_moe_nodes_command(const Arguments& arguments) {
  const int64_t repeats = arguments.integer("repeats", 1);
  if (started_by_mpi()) return measure(arguments, repeats);
  const int64_t ranks = arguments.integer("ranks-per-host", 1, 64);
  const std::vector<int> counts = host_counts(arguments.text("hosts"));
  const std::string rate = limit_of(arguments);
  const std::vector<std::string> config = config_part(arguments);
  {
    // A mistake in it is told before any host is made.
    const ConfigWords words = config_words(config);
    load_config(words.file, words.overrides, static_cast<int>(ranks) * counts[0], Purpose::eval);
  }
  std::error_code error;
  const std::string program = std::filesystem::read_symlink("/proc/self/exe", error).string();
  Json measured = Json::array();
  for (const int hosts : counts) {
    std::string list;
    for (int host = 1; host <= hosts; ++host)
      list += fmt::format("{}host{}:{}", host == 1 ? "" : ",", host, ranks);
    std::vector<std::string> words{program, "launch", "--hosts", list, "--", "bench", "moe_nodes"};
    words.insert(words.end(), config.begin(), config.end());
    words.insert(words.end(), {"--repeats", std::to_string(repeats), "--json"});
    if (arguments.given("steps")) words.insert(words.end(), {"--steps", arguments.text("steps")});
    // Only to be shown: the links are limited already.
    words.insert(words.end(), {"--rate", arguments.text("rate")});
    const Json one = Json::parse(run_on_emulated_hosts(hosts, rate, words));
    if (!arguments.flag("json")) print(one["hosts"][0]);
    output::flush();  // the next one takes a while
    measured.push_back(one["hosts"][0]);
  }
  if (arguments.flag("json")) show(measured, true);
  return 0;
}

}  // namespace troupe
