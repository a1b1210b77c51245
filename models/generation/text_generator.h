// Lets a trained decoder write text.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "core/text/tokenizer.h"
#include "models/generation/token_sampling.h"
#include "models/model/model.h"

namespace troupe {

// The tokens that the model sees when the text so far has `length` tokens: the last ones from the
// returned index on. Positions go up to seq_len; a full window is cut to its second half and grows
// again, so that the cache can be kept for seq_len / 2 tokens at a time.
int64_t window_start(int64_t length, int64_t seq_len);

struct GenerationRequest {
  std::string prompt;
  int64_t tokens = 200;
  SamplingOptions sampling;
  uint64_t seed = 0;
  bool cached = true;  // false: recomputes the whole window for every token (the reference)
};

struct GenerationResult {
  std::vector<int32_t> ids;  // generated, without the prompt
  double seconds = 0;        // of generating, without reading the prompt
};

// Calls emit with whole characters as they come. Stops early at a token that the
// tokenizer says ends a text, which is not shown.
GenerationResult generate_text(Model& model, const Tokenizer& tokenizer,
                               const GenerationRequest& request,
                               const std::function<void(const std::string&)>& emit);

}  // namespace troupe
