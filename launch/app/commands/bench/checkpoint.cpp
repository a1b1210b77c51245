// troupe bench checkpoint CONFIG [key=value...] [--dir DIR]
#include <fmt/core.h>

#include <nlohmann/json.hpp>

#include "core/text/json_text.h"
#include "core/text/tokenizer.h"
#include "launch/app/commands/bench/parts.h"
#include "launch/app/output.h"
#include "launch/bench/checkpoint_bench.h"
#include "launch/config/load.h"
#include "launch/config/setting_names.h"
#include "launch/training/automatic_precision.h"
#include "launch/training/memory_check.h"

namespace troupe {

int bench_checkpoint_command(const Arguments& arguments) {
  const int64_t repeats = arguments.integer("repeats", 1);
  const ConfigWords words =
      config_words({arguments.positionals.begin() + 1, arguments.positionals.end()});
  RankRuntime runtime(words.file, words.overrides);
  RunConfig config =
      load_config(words.file, words.overrides, runtime.size(), Purpose::eval, runtime.environment())
          .config;
  if (config.model.vocab == 0) {
    resolve_vocab(config,
                  load_tokenizer(config.data.tokenizer, {.names = key_names})->vocab_size());
  }
  runtime.configure(config.runtime);
  agree_on_precision(config, runtime);
  check_memory(config, runtime);
  const CheckpointBench bench = bench_checkpoint(config, runtime, arguments.text("dir"), repeats);
  if (!runtime.leader()) return 0;
  const double save_fraction = bench.save_rate / bench.disk_write_rate;
  const double load_fraction = bench.load_rate / bench.disk_read_rate;
  if (arguments.flag("json")) {
    const nlohmann::ordered_json out{{"save_bytes_per_s", bench.save_rate},
                                     {"load_bytes_per_s", bench.load_rate},
                                     {"verify_bytes_per_s", bench.verify_rate},
                                     {"disk_write_bytes_per_s", bench.disk_write_rate},
                                     {"disk_read_bytes_per_s", bench.disk_read_rate},
                                     {"save_fraction", save_fraction},
                                     {"load_fraction", load_fraction},
                                     {"step_ms", bench.step_seconds * 1e3},
                                     {"saving_step_ratio", bench.saving_step_ratio},
                                     {"saving_mean_ratio", bench.saving_mean_ratio},
                                     {"copy_ms", bench.copy_seconds * 1e3},
                                     {"steps_per_save", bench.steps_per_save},
                                     {"file_bytes", bench.file_bytes},
                                     {"directory", bench.directory},
                                     {"repeats", repeats}};
    output::print("{}\n", json_text(out));
    return 0;
  }
  output::print("file              {:.1f} MB in {}\n", static_cast<double>(bench.file_bytes) / 1e6,
                bench.directory);
  output::print("save              {:.3f} GB/s median of {}: write, fsync, read back and compare\n",
                bench.save_rate / 1e9, repeats);
  output::print("disk write        {:.3f} GB/s: plain write and fsync; save is {:.2f} of it\n",
                bench.disk_write_rate / 1e9, save_fraction);
  output::print("load              {:.3f} GB/s: read, compare digests, fill the tensors\n",
                bench.load_rate / 1e9);
  output::print("verify            {:.3f} GB/s\n", bench.verify_rate / 1e9);
  output::print("disk read         {:.3f} GB/s: plain read; load is {:.2f} of it\n",
                bench.disk_read_rate / 1e9, load_fraction);
  output::print(
      "step while saving {:.3f} of {:.1f} ms, medians, limit 1.10; a save lasts {:.1f} steps\n",
      bench.saving_step_ratio, bench.step_seconds * 1e3, bench.steps_per_save);
  output::print("copy              {:.1f} ms; mean step with the copy {:.3f}\n",
                bench.copy_seconds * 1e3, bench.saving_mean_ratio);
  return 0;
}

}  // namespace troupe
