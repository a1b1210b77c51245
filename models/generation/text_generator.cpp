#include "models/generation/text_generator.h"

#include <algorithm>
#include <chrono>
#include <cmath>

#include "core/base/error.h"

namespace troupe {
namespace {

// Keeps the cache in step with the window of the text.
class WindowedDecoder {
 public:
  WindowedDecoder(Model& model, bool cached) : model_(model), cached_(cached) {}

  std::vector<double> logits(const std::vector<int32_t>& text) {
    const auto length = static_cast<int64_t>(text.size());
    const int64_t seq_len = model_.config().seq_len;
    const int64_t start = window_start(length, seq_len);
    if (!cached_ || start != start_ || !ready_) {
      cache_ = model_.make_cache(seq_len);
      start_ = start;
      ready_ = true;
    }
    const std::vector<int32_t> fresh(text.begin() + start + cache_.length, text.end());
    std::vector<double> scores = model_.decode(fresh, cache_).values();
    for (const double score : scores) {
      if (std::isfinite(score)) continue;
      fail(ExitCode::numbers,
           "the model's scores for token {} are not finite: its weights are of no use. Take an "
           "earlier checkpoint; `troupe ckpt ls` lists those of a run",
           length);
    }
    return scores;
  }

 private:
  Model& model_;
  bool cached_;
  bool ready_ = false;
  int64_t start_ = 0;
  ModelCache cache_;
};

}  // namespace

int64_t window_start(int64_t length, int64_t seq_len) {
  if (length <= seq_len) return 0;
  const int64_t half = std::max<int64_t>(seq_len / 2, 1);
  // The window starts at a multiple of `half` and holds at most seq_len tokens.
  return (length - seq_len + half - 1) / half * half;
}

GenerationResult generate_text(Model& model, const Tokenizer& tokenizer,
                               const GenerationRequest& request,
                               const std::function<void(const std::string&)>& emit) {
  const int64_t vocab = model.config().vocab;
  std::vector<int32_t> text = tokenizer.encode(request.prompt);
  // A text must begin somewhere: the end-of-text token, or a line break where the vocabulary has
  // none.
  const bool begins_empty = text.empty();
  if (begins_empty) text.push_back(tokenizer.end_of_text().value_or(tokenizer.encode("\n").at(0)));
  for (int32_t id : text) {
    if (id >= vocab)
      fail(ExitCode::data, "the prompt has token {}, the model's vocabulary has {}", id, vocab);
  }
  WindowedDecoder decoder(model, request.cached);
  const Random random(request.seed, "generate");
  const std::vector<int32_t>& stop = tokenizer.end().stop;
  Utf8Stream characters;
  GenerationResult result;
  std::vector<double> logits = decoder.logits(text);
  const auto begin = std::chrono::steady_clock::now();
  while (static_cast<int64_t>(result.ids.size()) < request.tokens) {
    // Ids that the tokenizer does not have (a padded vocabulary) are never chosen.
    logits.resize(static_cast<size_t>(std::min(vocab, tokenizer.vocab_size())));
    const int32_t id = sample_token(logits, request.sampling, random, result.ids.size());
    if (std::find(stop.begin(), stop.end(), id) != stop.end()) break;
    result.ids.push_back(id);
    text.push_back(id);
    const std::string piece = characters.push(tokenizer.id_to_bytes(id));
    if (!piece.empty()) emit(piece);
    if (static_cast<int64_t>(result.ids.size()) < request.tokens) logits = decoder.logits(text);
  }
  const std::string rest = characters.finish();
  if (!rest.empty()) emit(rest);
  result.seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
  return result;
}

}  // namespace troupe
