// Sequences of tokens with their targets, as plain vectors.
#pragma once

#include <cstdint>
#include <vector>

namespace troupe {

constexpr int32_t kNoTarget = -1;  // nothing is predicted here

// Token b * seq_len + s is position s of sequence b.
struct TokenBatch {
  int64_t sequences = 0;
  int64_t seq_len = 0;
  std::vector<int32_t> ids;        // padding: 0
  std::vector<int32_t> targets;    // the next token; padding: 0; negative: not predicted
  std::vector<int32_t> documents;  // from 0, rising inside a sequence
  std::vector<uint8_t> valid;      // 0 = padding
  std::vector<int64_t> samples;    // [sequences] global number: of the sample or held-out window
  int64_t predictions = 0;         // number of targets that are predicted
  // Of the step's whole batch, over all ranks: what the loss is divided by. 0 = every token's.
  int64_t step_predictions = 0;

  // Adds sequences that are padding only, numbered onwards from the last, up to `count`.
  void pad_to(int64_t count);
};

}  // namespace troupe
