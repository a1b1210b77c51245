// Choosing the next token from logits.
#pragma once

#include <cstdint>
#include <span>

#include "core/base/random.h"

namespace troupe {

struct SamplingOptions {
  double temperature = 0.8;  // 0 = greedy: the largest logit, ties to the lowest id
  int64_t top_k = 0;         // keep the k most probable tokens; 0 = all
  double top_p = 1.0;  // keep the smallest set of most probable tokens with this much probability
};

// draw: number of the token in the text, keys the random number.
int32_t sample_token(std::span<const double> logits, const SamplingOptions& options,
                     const Random& random, uint64_t draw);

}  // namespace troupe
