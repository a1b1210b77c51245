// Sequences of tokens with their targets, as plain vectors.
#pragma once

#include <cstdint>
#include <vector>

namespace troupe {

// Token b * seq_len + s is position s of sequence b.
struct TokenBatch {
  int64_t sequences = 0;
  int64_t seq_len = 0;
  std::vector<int32_t> ids;        // padding: 0
  std::vector<int32_t> targets;    // the next token; padding: 0
  std::vector<int32_t> documents;  // from 0, rising inside a sequence
  std::vector<uint8_t> valid;      // 0 = padding
  std::vector<int64_t> samples;    // [sequences] global number: of the sample or held-out window
  int64_t predictions = 0;         // number of valid tokens

  // Adds sequences that are padding only, numbered onwards from the last, up to `count`.
  void pad_to(int64_t count);
};

}  // namespace troupe
