#include "core/text/held_out.h"

#include <algorithm>

#include "core/base/error.h"

namespace troupe {

HeldOut::HeldOut(const Corpus& corpus, int64_t seq_len, int64_t max_predictions)
    : corpus_(corpus), seq_len_(seq_len) {
  require(seq_len > 0, "held-out windows of {} predictions", seq_len);
  for (size_t p = 0; p < corpus.parts.size(); ++p) {
    const int64_t last = corpus.parts[p].tokens.size() - 1;
    for (int64_t first = 0; first < last; first += seq_len) {
      int64_t count = std::min(seq_len, last - first);
      if (max_predictions >= 0) count = std::min(count, max_predictions - predictions_);
      if (count <= 0) return;
      windows_.push_back({static_cast<int32_t>(p), static_cast<int32_t>(count), first});
      predictions_ += count;
    }
  }
}

int64_t HeldOut::target_bytes(const Tokenizer& tokenizer) const {
  int64_t bytes = 0;
  std::vector<int32_t> ids;
  for (const Cut& cut : windows_) {
    ids.resize(static_cast<size_t>(cut.predictions));
    corpus_.parts[static_cast<size_t>(cut.part)].tokens.read(cut.first + 1, ids,
                                                             tokenizer.vocab_size());
    for (const int32_t id : ids) bytes += static_cast<int64_t>(tokenizer.id_to_bytes(id).size());
  }
  return bytes;
}

int64_t HeldOut::batches(int64_t ranks, int64_t sequences) const {
  const int64_t together = ranks * sequences;
  return (windows() + together - 1) / together;
}

TokenBatch HeldOut::batch(int64_t index, int64_t rank, int64_t ranks, int64_t sequences) const {
  require(rank >= 0 && rank < ranks && sequences > 0 && index >= 0,
          "held-out batch {} of rank {} of {} with {} sequences", index, rank, ranks, sequences);
  const int64_t begin = std::min(windows(), (index * ranks + rank) * sequences);
  const int64_t end = std::min(windows(), begin + sequences);
  TokenBatch batch;
  batch.seq_len = seq_len_;
  batch.pad_to(end - begin);
  std::vector<int32_t> tokens;
  std::vector<int32_t> documents;
  for (int64_t w = begin; w < end; ++w) {
    const Cut& cut = windows_[static_cast<size_t>(w)];
    const TokenStream& stream = corpus_.parts[static_cast<size_t>(cut.part)].tokens;
    const int64_t at = (w - begin) * seq_len_;
    tokens.resize(static_cast<size_t>(cut.predictions) + 1);
    documents.resize(static_cast<size_t>(cut.predictions));
    stream.read(cut.first, tokens, corpus_.vocab);
    stream.read_documents(cut.first, documents);
    std::copy(tokens.begin(), tokens.end() - 1, batch.ids.begin() + at);
    std::copy(tokens.begin() + 1, tokens.end(), batch.targets.begin() + at);
    for (int64_t s = 0; s < seq_len_; ++s)  // padding continues the last document
      batch.documents[static_cast<size_t>(at + s)] =
          documents[static_cast<size_t>(std::min<int64_t>(s, cut.predictions - 1))] - documents[0];
    std::fill_n(batch.valid.begin() + at, cut.predictions, uint8_t{1});
    batch.samples[static_cast<size_t>(w - begin)] = w;
    batch.predictions += cut.predictions;
  }
  return batch;
}

}  // namespace troupe
