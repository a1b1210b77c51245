#include "launch/app/training_data.h"

#include <fmt/core.h>

#include <filesystem>

#include "launch/config/load.h"

namespace troupe {

DataSpec data_spec(const RunConfig& config) {
  DataSpec spec;
  for (const DataSource& source : config.data.train)
    spec.train.push_back({source.path, source.weight});
  spec.val = config.data.val;
  spec.val_fraction = config.data.val_fraction;
  spec.field = config.data.field;
  return spec;
}

TrainingData open_training_data(RunConfig& config) {
  TrainingData data;
  data.tokenizer = load_tokenizer(config.data.tokenizer);
  resolve_vocab(config, data.tokenizer->vocab_size());
  data.corpus =
      load_run_data(data_spec(config), *data.tokenizer, config.model.vocab, config.model.seq_len);
  data.sampler =
      std::make_unique<Sampler>(data.corpus.train, config.model.seq_len, config.run.seed);
  if (!data.corpus.held_out.parts.empty()) {
    const int64_t limit = config.eval.tokens > 0 ? config.eval.tokens : -1;
    data.held_out = std::make_unique<HeldOut>(data.corpus.held_out, config.model.seq_len, limit);
  }
  return data;
}

std::string describe(const TrainingData& data) {
  std::string names;
  for (const CorpusPart& part : data.corpus.train.parts) {
    names += (names.empty() ? "" : ", ") + std::filesystem::path(part.path).filename().string();
  }
  std::string text = fmt::format("{}: {} tokens to train on", names, data.corpus.train.tokens());
  if (data.held_out) text += fmt::format(", {} held out", data.held_out->predictions());
  return text + ", " + data.tokenizer->description();
}

}  // namespace troupe
