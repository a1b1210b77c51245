#include "launch/training/training_data.h"

#include <fmt/core.h>

#include <filesystem>

#include "core/base/error.h"
#include "core/text/document_end.h"
#include "launch/config/load.h"
#include "launch/config/setting_names.h"

namespace troupe {

DataSpec data_spec(const RunConfig& config) {
  DataSpec spec;
  for (const DataSource& source : config.data.train)
    spec.train.push_back({source.path, source.weight});
  spec.val = config.data.val;
  spec.val_fraction = config.data.val_fraction;
  spec.text = config.data.text;
  spec.separator = config.data.separator;
  return spec;
}

namespace {

// What a stored configuration knows of files that are gone belongs to the message.
template <typename Open>
auto explained(const RunConfig& config, Open open) {
  try {
    return open();
  } catch (const Error& error) {
    std::string text = error.what();
    for (const std::string& sentence : config.data.missing) text += "\n" + sentence;
    throw Error(error.code(), text);
  }
}

void check_training_predictions(const Corpus& corpus) {
  for (const CorpusPart& part : corpus.parts)
    if (part.tokens.documents() < part.tokens.size()) return;
  fail(ExitCode::data,
       "nothing of the text to train on is predicted: with data.mask_documents the first token of "
       "a document is not, and no document there has two. Give other text, or leave "
       "data.mask_documents out");
}

}  // namespace

std::unique_ptr<Tokenizer> open_tokenizer(const RunConfig& config) {
  return explained(config, [&] {
    return load_tokenizer(config.data.tokenizer, {config.data.end_of_text, key_names});
  });
}

std::string end_of_text(const Tokenizer& tokenizer) {
  const std::optional<int32_t> id = tokenizer.end_of_text();
  return id ? std::string(tokenizer.id_to_bytes(*id)) : "none";
}

bool keep_end_of_text(RunConfig& now, const RunConfig& stored, bool force) {
  if (stored.data.end_of_text != "auto") return false;
  const std::string before =
      end_of_text(*load_tokenizer(now.data.tokenizer, {"by_name", key_names}));
  const ConfigValue* entry = now.values.find("data.end_of_text");
  const std::string& here = now.values.text("data.end_of_text");
  if (before == here) return false;
  if (entry->automatic.empty()) {
    if (force) return false;
    fail(ExitCode::usage,
         "data.end_of_text is {}, but the run in {} began without that key and with {}: take the "
         "key out, choose another run.dir, or pass --force",
         ConfigValues::shown(*entry), now.run.dir, before);
  }
  now.data.end_of_text = before;
  now.values.replace("data.end_of_text", before);
  return true;
}

RunData open_run_data(const RunConfig& config, const Tokenizer& tokenizer,
                      const TokenisingWatch& watch) {
  return explained(config, [&] {
    return load_run_data(data_spec(config), tokenizer, config.model.vocab, config.model.seq_len,
                         watch);
  });
}

TrainingData open_training_data(RunConfig& config, const TokenisingWatch& watch) {
  TrainingData data;
  data.tokenizer = open_tokenizer(config);
  resolve_vocab(config, data.tokenizer->vocab_size());
  resolve_end_of_text(config, end_of_text(*data.tokenizer));
  data.separator = config.data.separator;
  data.corpus = open_run_data(config, *data.tokenizer, watch);
  if (config.model.mask_documents) check_training_predictions(data.corpus.train);
  data.sampler = std::make_unique<Sampler>(data.corpus.train, config.model.seq_len, config.run.seed,
                                           config.model.mask_documents);
  if (!data.corpus.held_out.parts.empty()) {
    const int64_t limit = config.eval.tokens > 0 ? config.eval.tokens : -1;
    data.held_out = std::make_unique<HeldOut>(data.corpus.held_out, config.model.seq_len, limit,
                                              config.model.mask_documents);
    check_predictions(*data.held_out);
  }
  return data;
}

void check_predictions(const HeldOut& held_out) {
  if (held_out.predictions() > 0) return;
  fail(ExitCode::data,
       "nothing of the held-out text is predicted: with data.mask_documents the first token of a "
       "document is not, and no document there has two. Give other held-out text");
}

std::string describe(const TrainingData& data) {
  std::string names;
  for (const CorpusPart& part : data.corpus.train.parts) {
    names += (names.empty() ? "" : ", ") + std::filesystem::path(part.path).filename().string();
  }
  std::string text = fmt::format("{}: {} tokens to train on", names, data.corpus.train.tokens());
  if (data.held_out) text += fmt::format(", {} held out", data.held_out->predictions());
  text += ", " + data.tokenizer->description();
  if (data.separator.empty()) return text;
  return text + ", " + described_end(*data.tokenizer, data.separator);
}

}  // namespace troupe
