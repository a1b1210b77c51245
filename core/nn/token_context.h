// What is known about the tokens of a micro-batch besides their hidden state; sliced as the hidden
// state is. Made by token_context.
#pragma once

#include <cstdint>
#include <vector>

#include "core/base/phase_clock.h"
#include "core/tensor/tensor.h"

namespace troupe {

// The step's whole batch, over all ranks and micro-batches: what losses are divided by. Members as
// the `global_` ones of TokenContext.
struct WholeBatch {
  int64_t sequences = 0;
  int64_t tokens = 0;
  int64_t predictions = 0;
  int64_t micro_batch = 0;
};

// A micro-batch of B sequences of S tokens, as this rank holds it. Tokens are numbered b * S + s.
struct TokenContext {
  int64_t sequences = 0;  // B
  int64_t seq_len = 0;    // S
  Tensor token_ids;       // i32 [B * S]
  Tensor documents;       // i32 [B * S], rising inside a sequence; undefined = each sequence is one
                          // document
  std::vector<uint8_t> valid;  // [tokens], in host memory; 0 = padding; empty = none is
  // Global index of each local sequence inside the step's batch, in [0, global_sequences): rising,
  // so that what belongs to a sample never depends on the rank that holds it.
  std::vector<int64_t> samples;

  // Of the step's whole batch, over all ranks and micro-batches: what losses are divided by.
  int64_t global_sequences = 0;
  int64_t global_tokens = 0;  // valid tokens
  // Targets that are predicted; 0 = as many as valid tokens.
  int64_t global_predictions = 0;
  // Sequences per micro-batch and data rank (scope `microbatch` of balance terms).
  int64_t micro_batch = 0;

  int64_t step = 0;       // from 0; keys random draws together with the sample index
  uint64_t seed = 0;      // run.seed
  bool training = false;  // jitter, noise, dropout and stochastic routing act only then
  bool dropless = false;  // generation: no capacity
  PhaseClock* clock = nullptr;

  int64_t tokens() const { return sequences * seq_len; }
  int64_t predictions() const {
    return global_predictions > 0 ? global_predictions : global_tokens;
  }
  // Is a local token none of the padding?
  bool is_valid(int64_t token) const {
    return valid.empty() || valid[static_cast<size_t>(token)] != 0;
  }
  // Index of a local token in the whole training run's stream of positions: keys random draws.
  uint64_t draw_index(int64_t token) const {
    const int64_t sample = step * global_sequences + samples[static_cast<size_t>(token / seq_len)];
    return static_cast<uint64_t>(sample * seq_len + token % seq_len);
  }
};

// The sequences with these numbers in the step's batch, each one document without padding; their
// ids are undefined where nobody reads them. Documents, padding, step, seed, training, dropless and
// clock are for the caller to set where they are other than nothing.
TokenContext token_context(std::vector<int64_t> samples, int64_t seq_len, Tensor token_ids,
                           const WholeBatch& whole);

}  // namespace troupe
