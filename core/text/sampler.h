// Which tokens the samples of a training run are made of: a pure function of the seed and the
// sample's number in the run, so it is the same on any number of ranks, and the whole state is the
// number of samples used so far.
//
// Each part of the corpus is walked in epochs. Epoch e draws one offset o below seq_len and cuts
// the windows [o + w * seq_len, o + (w + 1) * seq_len] of seq_len + 1 tokens (neighbours share one
// token, so no prediction occurs twice), visited in a drawn order: each window once before any
// twice. Parts are mixed by weight in a fixed pattern of 65,536 samples that keeps every part as
// close to its share as it can at every moment.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "core/text/batch.h"
#include "core/text/corpus.h"

namespace troupe {

// Tokens [first, first + seq_len + 1) of a part.
struct Window {
  int32_t part = 0;
  int64_t first = 0;
};

class Sampler {
 public:
  // Each part needs seq_len + 1 tokens. mask_documents: a token is not predicted from another
  // document, so the first one of a document never is.
  Sampler(const Corpus& corpus, int64_t seq_len, uint64_t seed, bool mask_documents = false);

  // sample: step * global_batch + number inside the step's batch, both from 0.
  Window window(int64_t sample);
  // The batch of the given samples, in their order. `samples` of the result are these numbers less
  // `base` (pass step * global_batch to get the numbers inside the step's batch).
  TokenBatch batch(std::span<const int64_t> samples, int64_t base = 0);

  // Predictions of the samples [first, first + count).
  int64_t predictions(int64_t first, int64_t count);

  int64_t seq_len() const { return seq_len_; }
  // Windows of a part in one of its epochs, and the first sample of that epoch counted inside the
  // part.
  int64_t epoch_windows(int32_t part, int64_t epoch) const;
  int64_t epoch_begin(int32_t part, int64_t epoch);
  // How many of the first `samples` samples of the run come from this part.
  int64_t drawn(int32_t part, int64_t samples) const;

 private:
  int64_t epoch_offset(int32_t part, int64_t epoch) const;

  Corpus corpus_;  // a copy shares the ids
  int64_t seq_len_;
  uint64_t seed_;
  bool mask_documents_;
  std::vector<int32_t> pattern_;        // part of each sample of a period; empty with one part
  std::vector<int32_t> pattern_rank_;   // how many earlier samples of the period have that part
  std::vector<int64_t> pattern_count_;  // samples of each part in a period
  // [part][epoch] first sample of the epoch: a cache of sums, filled as far as was asked.
  std::vector<std::vector<int64_t>> epoch_begins_;
};

}  // namespace troupe
