// Held-out tokens cut into consecutive windows of seq_len predictions that do not overlap; each
// starts without context, the last of a part may be short. The first token of a part is never
// predicted, nor is the first of a document where attention stays inside documents.
//
// A limited evaluation takes windows that are evenly spaced over all parts one after the other, so
// each part gives some by its size. Which ones depends on nothing but the text and the limit.
#pragma once

#include <cstdint>
#include <vector>

#include "core/text/batch.h"
#include "core/text/corpus.h"

namespace troupe {

class HeldOut {
 public:
  // max_predictions: so many (negative = all); the last window is cut to meet it.
  HeldOut(const Corpus& corpus, int64_t seq_len, int64_t max_predictions = -1,
          bool mask_documents = false);

  int64_t windows() const { return static_cast<int64_t>(windows_.size()); }
  int64_t predictions() const { return predictions_; }
  // Bytes of text of all predicted tokens: bits per byte = nats / ln 2 / bytes. A separator is no
  // text, nor is a special token, unless it is spelled out in a text at hand: see TokenStream.
  int64_t target_bytes(const Tokenizer& tokenizer) const;

  // Batches per rank, the same on every rank: ceil(windows / (ranks * sequences)).
  int64_t batches(int64_t ranks, int64_t sequences) const;
  // Batch `index` of a rank: windows [(index * ranks + rank) * sequences, + sequences) as far as
  // they exist, so all ranks together cover each window once. May be empty.
  TokenBatch batch(int64_t index, int64_t rank, int64_t ranks, int64_t sequences) const;

 private:
  struct Cut {
    int32_t part;
    int32_t tokens;  // each is followed by the one that it predicts, if it predicts one
    int64_t first;
  };
  const TokenStream& stream(const Cut& cut) const;
  int64_t predictions(const Cut& cut) const;
  void take_evenly(const std::vector<int64_t>& part_begins, int64_t count);
  void cut_to(int64_t max_predictions);

  Corpus corpus_;  // a copy shares the ids
  int64_t seq_len_;
  bool mask_documents_;
  int64_t predictions_ = 0;
  std::vector<Cut> windows_;
};

}  // namespace troupe
