// Tokenizer, corpus and sampler of a run, opened once its configuration is sound.
#pragma once

#include <memory>
#include <optional>

#include "core/text/corpus.h"
#include "core/text/held_out.h"
#include "core/text/sampler.h"
#include "core/text/tokenizer.h"
#include "launch/config/run_config.h"

namespace troupe {

struct TrainingData {
  std::unique_ptr<Tokenizer> tokenizer;
  std::string separator;  // behind documents; empty = none
  RunData corpus;
  std::unique_ptr<Sampler> sampler;
  std::unique_ptr<HeldOut> held_out;  // null without held-out text
};

// What a configuration says about its texts.
DataSpec data_spec(const RunConfig& config);

// The text of a tokenizer's end-of-text token, or "none".
std::string end_of_text(const Tokenizer& tokenizer);

// A run from before data.end_of_text goes on with the token that ended its rows then. `stored` is
// its configuration; where `now` gives no other token it takes that one (true, when this is not the
// one that it has), where it gives another: Error(usage), unless `force`.
bool keep_end_of_text(RunConfig& now, const RunConfig& stored, bool force);

// The tokenizer and the texts of a configuration, which may be a stored one. Throws Error(data);
// the message names every place where a file was looked for.
std::unique_ptr<Tokenizer> open_tokenizer(const RunConfig& config);
RunData open_run_data(const RunConfig& config, const Tokenizer& tokenizer,
                      const TokenisingWatch& watch = {});

// Also resolves model.vocab and data.end_of_text. Throws Error(data).
TrainingData open_training_data(RunConfig& config, const TokenisingWatch& watch = {});

// Throws Error(data) where nothing of the held-out text is predicted.
void check_predictions(const HeldOut& held_out);

// "shakespeare.txt, 1003854 tokens, byte".
std::string describe(const TrainingData& data);

}  // namespace troupe
