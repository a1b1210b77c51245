// troupe bench step CONFIG | gemm | generate CONFIG|RUN | tokenizer T | checkpoint CONFIG |
// moe_nodes: speed beside the machine's own limit.
#include <fmt/core.h>
#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <nlohmann/json.hpp>
#include <optional>

#include "core/base/error.h"
#include "core/base/log.h"
#include "core/kernels/cpu/instruction_set.h"
#include "core/text/json_text.h"
#include "core/text/tokenizer.h"
#include "launch/app/command.h"
#include "launch/app/command_line.h"
#include "launch/app/commands/bench/parts.h"
#include "launch/app/output.h"
#include "launch/app/output_file.h"
#include "launch/bench/step_bench.h"
#include "launch/bench/trace_events.h"
#include "launch/config/load.h"
#include "launch/config/nearest.h"
#include "launch/config/setting_names.h"
#include "launch/metrics/text.h"
#include "launch/training/automatic_precision.h"

namespace troupe {
namespace {

constexpr const char* kSynopsis =
    "step CONFIG [key=value...] | gemm | generate CONFIG|RUN | tokenizer FOLDER|FILE | checkpoint "
    "CONFIG | moe_nodes [CONFIG]";
constexpr const char* kSummary =
    "step: times whole training steps on drawn tokens and compares them with what the machine does "
    "at most: multiply-adds on registers, and products of matrices.\n"
    "gemm: measures both.\n"
    "generate: times decoding token by token beside the rate at which memory gives the weights "
    "that a token reads.\n"
    "tokenizer: times encoding and decoding beside the byte tokenizer on the same text.\n"
    "checkpoint: times save, load and verify beside a plain write and read of as many bytes.\n"
    "moe_nodes: makes hosts out of network namespaces with slow links between them and shows what "
    "crosses, how fast, and what a small model learns, with tokens sent straight to their experts, "
    "once per host, and to one group of experts (smile).";

// So many steps are enough to see in, and a trace of them is some megabytes.
constexpr int64_t kTracedSteps = 3;

// Speed of the pipeline over that of its schedule with the measured times of the stages.
double of_simulated(const PipelineReport& pipeline) {
  return pipeline.seconds > 0 ? pipeline.simulated_seconds / pipeline.seconds : 0;
}

// What the router makes of a configuration whose routing is made up.
using NaturalBench = std::optional<StepBench>;

nlohmann::ordered_json step_json(const RunConfig& config, const StepBench& bench,
                                 const NaturalBench& natural) {
  nlohmann::ordered_json out{{"tokens_per_s", bench.tokens_per_s},
                             {"step_ms", bench.step_ms},
                             {"step_ms_min", bench.step_ms_min},
                             {"step_ms_max", bench.step_ms_max},
                             {"steps", bench.steps},
                             {"peak_fraction", bench.peak_fraction},
                             {"fma_peak", bench.rates.fma_peak},
                             {"gemm_fraction", bench.gemm_fraction},
                             {"gemm_rate", bench.rates.gemm},
                             {"gemm_of_peak", bench.load.gemm_of_peak},
                             {"gemm_shape", shape_text(bench.rates.shape)},
                             {"instructions", kernels::cpu::name(kernels::cpu::instruction_set())},
                             {"mem_peak_bytes", bench.mem_peak_bytes},
                             {"dispatch_fraction", bench.dispatch_ms / bench.step_ms},
                             {"comm_ms", bench.comm_ms},
                             {"optimizer_ms", bench.optimizer_ms},
                             {"rank_load_max_over_mean", bench.rank_load_max_over_mean},
                             {"late_allocations", bench.late_allocations},
                             {"machine", load_json(bench.load)}};
  if (natural) {
    out["natural"] = {{"tokens_per_s", natural->tokens_per_s},
                      {"step_ms", natural->step_ms},
                      {"rank_load_max_over_mean", natural->rank_load_max_over_mean}};
  }
  if (config.parallel.shape[Axis::pp] > 1) {
    out["pipeline"] = {{"bubble", bench.pipeline.bubble},
                       {"bubble_simulated", bench.pipeline.simulated},
                       {"bubble_formula", bench.pipeline.formula},
                       {"stage_imbalance", bench.pipeline.imbalance},
                       {"of_simulated", of_simulated(bench.pipeline)}};
  }
  return out;
}

void print_step(const RunConfig& config, const StepBench& bench, const NaturalBench& natural,
                int64_t warmup) {
  output::print("step              {:.1f} ms median of {} ({:.1f} to {:.1f})\n", bench.step_ms,
                bench.steps, bench.step_ms_min, bench.step_ms_max);
  output::print("tokens/s          {:.0f}\n", bench.tokens_per_s);
  if (natural) {
    output::print(
        "natural routing   {:.0f} tokens/s; the busiest rank has {:.2f} times the mean load\n",
        natural->tokens_per_s, natural->rank_load_max_over_mean);
  }
  output::print(
      "of the peak       {:.3f} of {:.1f} GFLOP/s {} by {} (multiply-adds on registers)\n",
      bench.peak_fraction, bench.rates.fma_peak / 1e9, name(config.model.compute),
      kernels::cpu::name(kernels::cpu::instruction_set()));
  output::print(
      "of the GEMM rate  {:.3f} of {:.1f} GFLOP/s (at {}, packed weights; {:.2f} of the peak)\n",
      bench.gemm_fraction, bench.rates.gemm / 1e9, shape_text(bench.rates.shape),
      bench.load.gemm_of_peak);
  output::print("routing           {:.1f} % of the step in router, dispatch and combine\n",
                100 * bench.dispatch_ms / bench.step_ms);
  output::print("optimizer         {:.1f} ms, communication {:.1f} ms\n", bench.optimizer_ms,
                bench.comm_ms);
  output::print("peak memory       {} on the heaviest rank\n",
                bytes_text(static_cast<double>(bench.mem_peak_bytes)));
  if (config.parallel.shape[Axis::pp] > 1) {
    output::print(
        "pipeline          stages wait {:.1f} % of the time ({:.1f} % on paper with their times, "
        "{:.1f} % with equal ones); the busiest works {:.2f} times the mean; {:.2f} of the paper's "
        "speed\n",
        100 * bench.pipeline.bubble, 100 * bench.pipeline.simulated, 100 * bench.pipeline.formula,
        bench.pipeline.imbalance, of_simulated(bench.pipeline));
  }
  if (warmup + bench.steps > 10) {
    output::print("late allocations  {} from the system after step 10\n", bench.late_allocations);
  }
  print_load(bench.load);
}

const std::string& checked_routing(const std::string& word) {
  const std::vector<std::string> kinds{"balanced", "natural", "zipf", "all"};
  if (std::find(kinds.begin(), kinds.end(), word) == kinds.end()) {
    fail(ExitCode::usage, "--routing {}: must be one of {}{}", word, fmt::join(kinds, ", "),
         did_you_mean(word, kinds));
  }
  return word;
}

// Where --profile writes its trace; checked before anything is measured.
std::optional<OutputFile> trace_file(const Arguments& arguments, const std::string& routing,
                                     bool leader) {
  if (!arguments.flag("profile")) {
    if (arguments.given("out")) {
      fail(ExitCode::usage, "bench step: --out names the trace of --profile, which is not given");
    }
    return std::nullopt;
  }
  if (routing == "all") {
    fail(ExitCode::usage, "bench step: --profile traces one routing, not all of them");
  }
  OutputFile target;
  target.path = arguments.text("out");
  target.option = "--out";
  target.ours = is_trace;
  target.advice = "Choose another file";
  if (leader) check_output_file(target);
  return target;
}

int bench_step_command(const Arguments& arguments) {
  const ConfigWords words =
      config_words({arguments.positionals.begin() + 1, arguments.positionals.end()});
  RankRuntime runtime(words.file, words.overrides);
  RunConfig config = load_config(words.file, words.overrides, runtime.size(), Purpose::train,
                                 runtime.environment())
                         .config;
  if (config.model.vocab == 0) {
    resolve_vocab(config,
                  load_tokenizer(config.data.tokenizer, {.names = key_names})->vocab_size());
  }
  const std::string routing = arguments.given("routing")
                                  ? checked_routing(arguments.text("routing"))
                                  : config.bench.routing;
  runtime.configure(config.runtime);
  agree_on_precision(config, runtime);
  const int64_t warmup = arguments.integer("warmup", 1);
  const int64_t steps = arguments.given("steps") ? arguments.integer("steps", 1) : 15;
  const std::optional<OutputFile> trace = trace_file(arguments, routing, runtime.leader());
  if (routing == "all") {
    if (runtime.leader()) log::info("running {} steps of each routing", warmup + steps);
    const std::vector<RoutingBench> rows = bench_routings(config, runtime, warmup, steps);
    if (runtime.leader()) print_routings(rows, arguments.flag("json"));
    return 0;
  }
  config.bench.routing = routing;
  // Minutes on a busy machine: silence would look like a hang.
  if (runtime.leader())
    log::info("running {} steps between two measurements of the machine", warmup + steps);
  const StepBench bench = bench_step(config, runtime, warmup, steps);
  NaturalBench natural;
  if (runtime.size() > 1 && config.bench.routing != "natural") {
    RunConfig routed = config;
    routed.bench.routing = "natural";
    natural = time_steps(routed, runtime, warmup, steps);
  }
  std::optional<StepProfile> profile;
  if (trace) {
    profile = profile_steps(config, runtime.world(), runtime.device(), warmup,
                            std::min(steps, kTracedSteps));
  }
  if (!runtime.leader()) return 0;
  if (profile) write_output_file(*trace, profile->trace);
  if (arguments.flag("json")) {
    nlohmann::ordered_json out = step_json(config, bench, natural);
    if (profile) out["profile"] = profile_json(*profile, trace->path);
    output::print("{}\n", json_text(out));
  } else {
    print_step(config, bench, natural, warmup);
    if (profile) print_profile(*profile, runtime.size(), trace->path);
  }
  return 0;
}

struct Bench {
  const char* name;
  const char* operand;  // what stands behind the name; empty: nothing
  const char* options;  // that it reads, besides --json
  int (*run)(const Arguments&);
};

constexpr std::array kBenches{
    Bench{"step", "CONFIG", "steps warmup routing profile out", bench_step_command},
    Bench{"gemm", "", "", bench_gemm_command},
    Bench{"generate", "CONFIG|RUN", "tokens repeats", bench_generate_command},
    Bench{"tokenizer", "FOLDER|tokenizer.json|byte", "text repeats", bench_tokenizer_command},
    Bench{"checkpoint", "CONFIG", "dir repeats", bench_checkpoint_command},
    Bench{"moe_nodes", "[CONFIG]", "hosts ranks-per-host rate steps repeats",
          bench_moe_nodes_command}};

// Options and words that this benchmark does not read would be silently without effect.
void check_use(const Bench& bench, const Arguments& arguments) {
  for (const char* option : {"steps", "warmup", "routing", "profile", "out", "tokens", "text",
                             "dir", "repeats", "hosts", "ranks-per-host", "rate"}) {
    const std::string read = fmt::format(" {} ", bench.options);
    if (arguments.given(option) && read.find(fmt::format(" {} ", option)) == std::string::npos) {
      fail(ExitCode::usage, "bench {}: --{} has no effect here{}", bench.name, option,
           *bench.options == 0 ? "" : fmt::format("; it reads: {}", bench.options));
    }
  }
  const bool operand = *bench.operand != 0;
  if (operand && *bench.operand != '[' && arguments.positionals.size() < 2) {
    fail(ExitCode::usage, "bench {}: name a {}", bench.name, bench.operand);
  }
  if (!operand && arguments.positionals.size() > 1) {
    fail(ExitCode::usage, "bench {} takes no '{}'", bench.name, arguments.positionals[1]);
  }
}

int run(std::span<const std::string> args) {
  CommandLine line("bench", kSynopsis, kSummary);
  line.option("steps", "N", "", "step: timed steps (15); moe_nodes: of the model (train.steps)")
      .option("warmup", "N", "3", "step: steps before them")
      .option("routing", "KIND", "",
              "step: balanced, natural or zipf instead of bench.routing; all: each, in one table")
      .flag("profile",
            "step: three more steps: the ten costliest operators as a table, and a trace of what "
            "each rank and thread did when, for https://ui.perfetto.dev or chrome://tracing")
      .option("out", "FILE", "trace.json", "step --profile: the trace")
      .option("tokens", "N", "200", "generate: timed tokens of one repetition")
      .option("text", "FILE", "", "tokenizer: this text instead of one drawn from its own tokens")
      .option("dir", "DIR", "", "checkpoint: measure in this directory instead of beside run.dir")
      .option("repeats", "N", "5",
              "generate, tokenizer, checkpoint, moe_nodes: the median is of so many")
      .option("hosts", "N,N", "2,4", "moe_nodes: so many hosts, one run for each number")
      .option("ranks-per-host", "N", "2", "moe_nodes: ranks on each of them")
      .option("rate", "RATE", "200mbit", "moe_nodes: what a host can send; none = no limit")
      .flag("json", "one JSON object on standard output")
      .positionals(0, SIZE_MAX)
      .details(
          "examples:\n  troupe bench step configs/bench/moe_8x2.yaml precision.compute=bf16\n  "
          "troupe bench step configs/bench/moe_8x2.yaml --routing all\n  "
          "troupe bench step configs/bench/moe_8x2.yaml --profile\n  "
          "troupe bench gemm\n  troupe bench generate runs/shakespeare\n  "
          "troupe bench tokenizer gpt2/ --text book.txt\n  "
          "troupe bench checkpoint configs/bench/moe_8x2.yaml --repeats 3\n  "
          "troupe bench moe_nodes --hosts 2 --steps 20\n"
          "moe_nodes needs root, or user namespaces, and leaves with code 5 where hosts cannot be "
          "made; under troupe launch --hosts it measures on real machines");
  const std::optional<Arguments> arguments = line.parse(args);
  if (!arguments) return 0;
  std::vector<std::string> names;
  for (const Bench& bench : kBenches) names.emplace_back(bench.name);
  if (arguments->positionals.empty()) {
    fail(ExitCode::usage, "bench: name a benchmark: {}", fmt::join(names, ", "));
  }
  const std::string& what = arguments->positionals[0];
  for (const Bench& bench : kBenches) {
    if (what != bench.name) continue;
    check_use(bench, *arguments);
    return bench.run(*arguments);
  }
  fail(ExitCode::usage, "bench: unknown benchmark '{}'{}\nknown: {}", what,
       did_you_mean(what, names), fmt::join(names, ", "));
}

}  // namespace

Command command_bench() {
  Command command;
  command.place = 120;
  command.name = "bench";
  command.arguments = "step|gemm|generate|tokenizer|...";
  command.summary = "speed beside the machine's own limit";
  command.run = run;
  return command;
}

}  // namespace troupe
