// troupe eval DIR|CHECKPOINT: the loss of a trained model on held-out text.
#include <fmt/core.h>

#include <cmath>
#include <limits>
#include <nlohmann/json.hpp>
#include <string>

#include "core/base/error.h"
#include "core/base/log.h"
#include "core/text/document_end.h"
#include "core/text/json_text.h"
#include "launch/app/command.h"
#include "launch/app/command_line.h"
#include "launch/app/output.h"
#include "launch/app/text_arguments.h"
#include "launch/config/scalar.h"
#include "launch/training/diverged.h"
#include "launch/training/evaluation_progress.h"
#include "launch/training/trained_model.h"
#include "launch/training/training_data.h"
#include "models/engine/held_out_loss.h"
#include "moe/dispatch/groups.h"

namespace troupe {
namespace {

// The run's held-out text, or the whole of another file.
Corpus evaluation_corpus(const TrainedModel& trained, const Arguments& arguments, bool force,
                         RankRuntime& runtime) {
  if (arguments.given("text")) {
    return load_corpus(arguments.text("text"), *trained.tokenizer, trained.config.model.vocab,
                       text_options(arguments, trained.config.data.text),
                       trained.config.data.separator);
  }
  RunData data = open_run_data(trained.config, *trained.tokenizer);
  check_inputs(trained, held_out_inputs(trained.config, data), force, runtime);
  Corpus corpus = std::move(data.held_out);
  if (corpus.parts.empty()) {
    fail(ExitCode::data,
         "the run holds out no text (data.val_fraction = 0 and no data.val). Give --text FILE");
  }
  return corpus;
}

void warn_about_the_future(const ModelConfig& model) {
  for (const auto& moe : model.moe) {
    if (moe && sees_the_future(*moe)) {
      log::warning(
          "{} inside groups that hold later tokens sees the future: the loss is too low to compare",
          moe->router);
      return;
    }
  }
}

HeldOutLoss evaluate(TrainedModel& trained, const HeldOut& held_out, RankRuntime& runtime) {
  EvaluationProgress progress(held_out.windows());
  return held_out_loss(*trained.model, held_out,
                       std::max<int64_t>(trained.config.train.micro_batch, 1), *trained.mesh,
                       runtime.device(), [&](int64_t done, int64_t batches) {
                         if (runtime.leader()) progress(done, batches);
                         return true;
                       });
}

int run(std::span<const std::string> args) {
  CommandLine line("eval", "DIR|CHECKPOINT [options]",
                   "The loss of a trained model on the run's held-out text: nats per token, bits "
                   "per byte, perplexity.");
  add_text_options(line.option("text", "FILE", "", "evaluate on this text instead"))
      .flag("json", "one JSON object on standard output")
      .flag("force", "go on although the tokenizer or the run's text has changed")
      .option("timeout", "T", format_duration(RuntimeConfig{}.timeout.count()),
              "how long a rank waits for another, as runtime.timeout")
      .positionals(1, 1);
  const std::optional<Arguments> arguments = line.parse(args);
  if (!arguments) return 0;

  RankRuntime runtime(arguments->duration("timeout"));
  TrainedModel trained = load_trained_model(arguments->positionals[0], runtime);
  const bool force = arguments->flag("force");
  check_inputs(trained, tokenizer_inputs(trained.config, *trained.tokenizer), force, runtime);
  const std::string text_file = arguments->text("text");
  const Corpus corpus = evaluation_corpus(trained, *arguments, force, runtime);
  // The same limit as training's evaluations, so that the two agree.
  const int64_t limit =
      text_file.empty() && trained.config.eval.tokens > 0 ? trained.config.eval.tokens : -1;
  const HeldOut held_out(corpus, trained.config.model.seq_len, limit,
                         trained.config.model.mask_documents);
  check_predictions(held_out);
  warn_about_the_future(trained.config.model);
  const HeldOutLoss loss = evaluate(trained, held_out, runtime);
  if (!std::isfinite(loss.nats_per_token)) {
    fail(ExitCode::numbers,
         "the loss of {} is {}: its weights are of no use. Take an earlier checkpoint; `troupe "
         "ckpt ls` lists those of a run",
         trained.checkpoint, plain_number(loss.nats_per_token));
  }
  if (!runtime.leader()) return 0;
  const int64_t bytes = held_out.target_bytes(*trained.tokenizer);
  // Where only tokens without text are predicted there is no such number: NaN, in JSON null.
  const double bits_per_byte = bytes == 0
                                   ? std::numeric_limits<double>::quiet_NaN()
                                   : loss.nats_per_token * static_cast<double>(loss.predictions) /
                                         std::log(2.0) / static_cast<double>(bytes);
  const double perplexity = std::exp(loss.nats_per_token);
  const std::string end = described_end(*trained.tokenizer, trained.config.data.separator);
  if (arguments->flag("json")) {
    const nlohmann::ordered_json out{{"checkpoint", trained.checkpoint},
                                     {"step", trained.step},
                                     {"tokens", loss.predictions},
                                     {"nats_per_token", loss.nats_per_token},
                                     {"text_bytes", bytes},
                                     {"bits_per_byte", bits_per_byte},
                                     {"perplexity", perplexity},
                                     {"end_of_text", end}};
    output::print("{}\n", json_text(out));
    return 0;
  }
  output::print(
      "checkpoint      {} (step {})\ntokens          {}\nnats/token      {:.6f}\nbits/byte       "
      "{}\n"
      "perplexity      {:.4f}\nend of text     {}\n",
      trained.checkpoint, trained.step, loss.predictions, loss.nats_per_token,
      bytes == 0 ? "none: no byte of text is predicted" : fmt::format("{:.6f}", bits_per_byte),
      perplexity, end);
  return 0;
}

}  // namespace

Command command_eval() {
  Command command;
  command.place = 40;
  command.name = "eval";
  command.arguments = "DIR|CHECKPOINT";
  command.summary = "loss on held-out text";
  command.run = run;
  return command;
}

}  // namespace troupe
