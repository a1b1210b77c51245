// troupe generate DIR|CHECKPOINT: lets a trained model write text.
#include <fmt/core.h>

#include <cstdio>
#include <iterator>
#include <string>

#include "core/base/error.h"
#include "core/base/log.h"
#include "launch/app/command.h"
#include "launch/app/command_line.h"
#include "launch/app/output.h"
#include "launch/training/trained_model.h"
#include "models/generation/text_generator.h"
#include "moe/dispatch/groups.h"

namespace troupe {
namespace {

std::string read_standard_input() {
  std::string text;
  char buffer[4096];
  size_t count = 0;
  while ((count = std::fread(buffer, 1, sizeof(buffer), stdin)) > 0) text.append(buffer, count);
  return text;
}

// A router whose groups hold later tokens cannot decide token by token what it decided in training.
void check_causal(const ModelConfig& model, bool allowed) {
  for (size_t layer = 0; layer < model.moe.size(); ++layer) {
    const auto& moe = model.moe[layer];
    if (!moe || !sees_the_future(*moe)) continue;
    if (!allowed) {
      fail(ExitCode::usage,
           "layer {} routes by {} inside groups that hold later tokens, so the model has seen the "
           "future in training and cannot write as it learned. Train with moe.group: {{across: "
           "batch, sequences: S}}, or give --allow-noncausal to see what it writes",
           layer, moe->router);
    }
    log::warning(
        "layer {} routes by {} inside groups that hold later tokens: the text shows what the model "
        "makes without them",
        layer, moe->router);
    return;
  }
}

int run(std::span<const std::string> args) {
  CommandLine line("generate", "DIR|CHECKPOINT [options]",
                   "Lets a trained model write text; streams whole characters to standard output.");
  line.option(
          "prompt", "TEXT", "",
          "text to go on from; - reads standard input. Empty: the end-of-text token, which stands "
          "before a new text, or a line break where there is none")
      .may_be_empty()
      .option("tokens", "N", "200", "tokens to write")
      .option("temperature", "X", "0.8", "0 = greedy")
      .option("top-k", "K", "0", "keep the K most probable tokens; 0 = all")
      .option("top-p", "P", "1",
              "keep the most probable tokens with this much probability together")
      .option("seed", "N", "0", "of the random draws")
      .flag("force", "go on although the tokenizer has changed")
      .flag("allow-noncausal", "write although the routing saw later tokens in training")
      .positionals(1, 1);
  const std::optional<Arguments> arguments = line.parse(args);
  if (!arguments) return 0;

  GenerationRequest request;
  request.tokens = arguments->integer("tokens", 0);
  request.sampling.temperature = arguments->real("temperature", 0.0, 1e6);
  request.sampling.top_k = arguments->integer("top-k", 0);
  request.sampling.top_p = arguments->real("top-p", 0.0, 1.0);
  request.seed = static_cast<uint64_t>(arguments->integer("seed", 0));

  RankRuntime runtime;
  if (runtime.size() > 1) {
    fail(ExitCode::usage, "generate runs on one rank, this job has {}. Start it without mpirun",
         runtime.size());
  }
  TrainedModel trained = load_trained_model(arguments->positionals[0], runtime);
  check_inputs(trained, tokenizer_inputs(trained.config, *trained.tokenizer),
               arguments->flag("force"), runtime);
  check_causal(trained.config.model, arguments->flag("allow-noncausal"));
  request.prompt =
      arguments->text("prompt") == "-" ? read_standard_input() : arguments->text("prompt");
  output::write(request.prompt);
  const GenerationResult result =
      generate_text(*trained.model, *trained.tokenizer, request, [](const std::string& piece) {
        output::write(piece);
        output::flush();
      });
  output::write("\n");
  output::flush();
  if (result.seconds > 0) {
    log::info("{} tokens in {:.2f} s: {:.0f} tokens/s", result.ids.size(), result.seconds,
              static_cast<double>(result.ids.size()) / result.seconds);
  }
  return 0;
}

}  // namespace

Command command_generate() {
  Command command;
  command.place = 50;
  command.name = "generate";
  command.arguments = "DIR|CHECKPOINT";
  command.summary = "let a model write text";
  command.run = run;
  return command;
}

}  // namespace troupe
