// Times generation token by token beside the rate at which the machine reads the weights.
#pragma once

#include <cstdint>

#include "models/model/model.h"

namespace troupe {

struct GenerateBench {
  int64_t tokens = 0;         // timed in one repetition
  int64_t prompt_tokens = 0;  // read before them
  double tokens_per_s = 0;    // median of the repetitions
  double tokens_per_s_min = 0;
  double tokens_per_s_max = 0;
  double weight_bytes = 0;        // read per token: experts count only where a token went to them
  double cache_bytes = 0;         // keys and values read per token, in the mean
  int64_t model_bytes = 0;        // all weights: what a run of tokens goes through
  double read_rate = 0;           // bytes per second of reading a block of model_bytes, the best
                                  // of before and after
  double bound_tokens_per_s = 0;  // read_rate / (weight_bytes + cache_bytes)
  double bound_fraction = 0;      // tokens_per_s / bound_tokens_per_s
};

// Feeds drawn tokens one by one (all of the vocabulary, so that all experts are met) behind a
// prompt of a quarter of the window; at most a whole window. One repetition comes before those
// counted. One rank.
GenerateBench bench_generate(Model& model, Stream& stream, int64_t tokens, int64_t repeats);

}  // namespace troupe
