// troupe layout CONFIG --ranks N [--svg FILE]
#include <fmt/core.h>

#include "launch/app/command.h"
#include "launch/app/command_line.h"
#include "launch/app/layout_view.h"
#include "launch/app/output.h"
#include "launch/app/output_file.h"
#include "launch/config/load.h"
#include "launch/training/training_data.h"

namespace troupe {

namespace {

int run(std::span<const std::string> args) {
  CommandLine line("layout", "CONFIG [key=value...] [--ranks N] [--svg FILE]",
                   "Shows where each rank stands, who shares what with whom, and how many bytes "
                   "cross each kind of link in a step. Starts nothing.");
  line.option("ranks", "N", "", "ranks of the job; default: the fewest that the layout allows")
      .option("svg", "FILE", "", "also as a picture")
      .flag("force", "replace FILE although it is no such picture")
      .details(
          "example:\n  troupe layout configs/tiny/shakespeare.yaml --ranks 4 parallel.tp=2 "
          "train.micro_batch=2")
      .positionals(1, SIZE_MAX);
  const std::optional<Arguments> arguments = line.parse(args);
  if (!arguments) return 0;
  const ConfigWords words = config_words(arguments->positionals);
  const int ranks =
      arguments->given("ranks") ? static_cast<int>(arguments->integer("ranks", 1, 4096)) : 0;
  LoadedConfig loaded = load_config(words.file, words.overrides, ranks);
  if (loaded.config.model.vocab == 0) {
    resolve_vocab(loaded.config, open_tokenizer(loaded.config)->vocab_size());
  }
  if (arguments->given("svg")) {
    OutputFile target;
    target.path = arguments->text("svg");
    target.option = "--svg";
    target.ours = is_layout_svg;
    target.force = arguments->flag("force");
    write_output_file(target, layout_svg(loaded.config));
  }
  output::print("{}", layout_table(loaded.config));
  if (arguments->given("svg")) output::print("\npicture: {}\n", arguments->text("svg"));
  return 0;
}

}  // namespace

Command command_layout() {
  Command command;
  command.place = 100;
  command.name = "layout";
  command.arguments = "CONFIG --ranks N [--svg FILE]";
  command.summary = "which rank holds what, and what links carry";
  command.run = run;
  command.alone = true;
  return command;
}

}  // namespace troupe
