#include "launch/config/imported_run.h"

#include <fmt/format.h>

#include <filesystem>

#include "launch/config/load.h"
#include "launch/config/model_text.h"
#include "launch/config/scalar.h"

namespace troupe {
namespace {

namespace fs = std::filesystem;

// What is to be filled in.
constexpr const char* kNoText = "YOUR-TEXT.txt";
constexpr const char* kNoTokenizer = "YOUR-TOKENIZER";

// `path` as a file in the folder of `file` writes it.
std::string beside(const std::string& path, const std::string& file) {
  const fs::path folder = fs::absolute(file).lexically_normal().parent_path();
  return fs::absolute(path).lexically_normal().lexically_relative(folder).string();
}

std::string tokenizer_text(const ImportedRun& run, const std::string& path) {
  return run.tokenizer.empty() ? kNoTokenizer : format_text(beside(run.tokenizer, path));
}

}  // namespace

RunConfig imported_config(const ImportedRun& run, const std::string& path) {
  const std::string text = fmt::format(
      "run: {{name: {}}}\n{}data: {{tokenizer: {}, train: {}}}\n"
      "train: {{steps: 1, global_batch: 1}}\n",
      format_text(run.name), model_text(run.model), tokenizer_text(run, path), kNoText);
  return load_config_text(text, path, {}, 1, Purpose::eval).config;
}

std::string imported_yaml(const ImportedRun& run, const std::string& path) {
  std::string model = model_text(run.model);
  const std::string init =
      fmt::format("model:\n  init: {}\n", format_text(beside(run.weights, path)));
  model.replace(0, std::string("model:\n").size(), init);
  return fmt::format(
      "# Trains on with the weights of {}.\n"
      "# Write the text to train on into data.train. `troupe help KEY` explains a key.\n"
      "version: 1\n\n"
      "run:\n  name: {}\n\n"
      "{}\n"
      "data:\n  tokenizer: {}\n  train: {}   # a text file, a folder, or what `troupe help "
      "data.train` says\n\n"
      "optimizer:\n  type: adamw\n  lr: 1.0e-5\n  weight_decay: 0.1\n\n"
      "schedule:\n  type: cosine\n  warmup: 20\n\n"
      "train:\n  steps: 1000\n  global_batch: 8\n  micro_batch: 1\n",
      format_text(run.source), format_text(run.name), model, tokenizer_text(run, path), kNoText);
}

}  // namespace troupe
