// troupe bench generate CONFIG|RUN
#include <fmt/core.h>

#include <filesystem>
#include <nlohmann/json.hpp>

#include "core/base/error.h"
#include "core/text/json_text.h"
#include "launch/app/commands/bench/parts.h"
#include "launch/app/output.h"
#include "launch/bench/generate_bench.h"
#include "launch/config/load.h"
#include "launch/config/setting_names.h"
#include "launch/training/memory_check.h"
#include "launch/training/trained_model.h"
#include "models/families/lookup/configured_model.h"

namespace troupe {
namespace {

// A run directory or checkpoint has its trained weights, a configuration its initial ones.
TrainedModel bench_model(const Arguments& arguments, RankRuntime& runtime) {
  const ConfigWords words =
      config_words({arguments.positionals.begin() + 1, arguments.positionals.end()});
  const bool run = std::filesystem::is_directory(words.file) || words.file.ends_with(".h5");
  if (run && !words.overrides.empty()) {
    fail(ExitCode::usage, "bench generate: {} has no effect, the configuration is that of {}",
         words.overrides.front(), words.file);
  }
  if (run) return load_trained_model(words.file, runtime);
  TrainedModel out;
  out.config = load_config(words.file, words.overrides, 1, Purpose::eval).config;
  if (out.config.model.vocab == 0) {
    resolve_vocab(out.config,
                  load_tokenizer(out.config.data.tokenizer, {.names = key_names})->vocab_size());
  }
  runtime.configure(out.config.runtime);
  out.mesh = std::make_unique<Mesh>(MeshShape::data_expert(1, 1), runtime.world());
  out.model = make_model(out.config.model, *out.mesh, runtime.device(), out.config.run.seed);
  return out;
}

}  // namespace

int bench_generate_command(const Arguments& arguments) {
  const int64_t tokens = arguments.integer("tokens", 1);
  const int64_t repeats = arguments.integer("repeats", 1);
  RankRuntime runtime;
  if (runtime.size() > 1) {
    fail(ExitCode::usage,
         "bench generate runs on one rank, this job has {}. Start it without "
         "mpirun",
         runtime.size());
  }
  const TrainedModel trained = bench_model(arguments, runtime);
  const LoadWatch watch(runtime.threads());
  const GenerateBench bench =
      bench_generate(*trained.model, runtime.device()->stream(), tokens, repeats);
  const MachineLoad load = watch.since(*runtime.world(), runtime.device());
  if (arguments.flag("json")) {
    const nlohmann::ordered_json out{{"tokens_per_s", bench.tokens_per_s},
                                     {"tokens_per_s_min", bench.tokens_per_s_min},
                                     {"tokens_per_s_max", bench.tokens_per_s_max},
                                     {"bound_tokens_per_s", bench.bound_tokens_per_s},
                                     {"bound_fraction", bench.bound_fraction},
                                     {"read_bytes_per_s", bench.read_rate},
                                     {"weight_bytes_per_token", bench.weight_bytes},
                                     {"cache_bytes_per_token", bench.cache_bytes},
                                     {"model_bytes", bench.model_bytes},
                                     {"tokens", bench.tokens},
                                     {"prompt_tokens", bench.prompt_tokens},
                                     {"repeats", repeats},
                                     {"threads", runtime.threads()},
                                     {"machine", load_json(load)}};
    output::print("{}\n", json_text(out));
    return 0;
  }
  output::print(
      "generated         {:.1f} tokens/s median of {} ({:.1f} to {:.1f}), {} tokens behind {}\n",
      bench.tokens_per_s, repeats, bench.tokens_per_s_min, bench.tokens_per_s_max, bench.tokens,
      bench.prompt_tokens);
  output::print(
      "bandwidth bound   {:.1f} tokens/s: {:.2f} MB of weights and {:.2f} MB of cache a token "
      "at {:.2f} GB/s\n",
      bench.bound_tokens_per_s, bench.weight_bytes / 1e6, bench.cache_bytes / 1e6,
      bench.read_rate / 1e9);
  output::print("of the bound      {:.3f}\n", bench.bound_fraction);
  output::print(
      "read rate         of a block of all weights, {:.2f} MB, {} thread{}, the best of before and "
      "after\n",
      static_cast<double>(bench.model_bytes) / 1e6, runtime.threads(),
      runtime.threads() == 1 ? "" : "s");
  print_load(load);
  return 0;
}

}  // namespace troupe
