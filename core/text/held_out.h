// Held-out tokens cut into consecutive windows of seq_len predictions that do not overlap; each
// starts without context, the last of a part may be short. The first token of a part is never
// predicted.
#pragma once

#include <cstdint>
#include <vector>

#include "core/text/batch.h"
#include "core/text/corpus.h"

namespace troupe {

class HeldOut {
 public:
  // max_predictions: stop after so many (negative = all); the window in which the limit falls is
  // short.
  HeldOut(const Corpus& corpus, int64_t seq_len, int64_t max_predictions = -1);

  int64_t windows() const { return static_cast<int64_t>(windows_.size()); }
  int64_t predictions() const { return predictions_; }
  // Bytes of all predicted tokens: bits per byte = nats / ln 2 / bytes.
  int64_t target_bytes(const Tokenizer& tokenizer) const;

  // Batches per rank, the same on every rank: ceil(windows / (ranks * sequences)).
  int64_t batches(int64_t ranks, int64_t sequences) const;
  // Batch `index` of a rank: windows [(index * ranks + rank) * sequences, + sequences) as far as
  // they exist, so all ranks together cover each window once. May be empty.
  TokenBatch batch(int64_t index, int64_t rank, int64_t ranks, int64_t sequences) const;

 private:
  struct Cut {
    int32_t part;
    int32_t predictions;
    int64_t first;
  };
  Corpus corpus_;  // a copy shares the ids
  int64_t seq_len_;
  int64_t predictions_ = 0;
  std::vector<Cut> windows_;
};

}  // namespace troupe
