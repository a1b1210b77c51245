#include "core/text/held_out.h"

#include <algorithm>

#include "core/base/error.h"

namespace troupe {

HeldOut::HeldOut(const Corpus& corpus, int64_t seq_len, int64_t max_predictions,
                 bool mask_documents)
    : corpus_(corpus), seq_len_(seq_len), mask_documents_(mask_documents) {
  require(seq_len > 0, "held-out windows of {} predictions", seq_len);
  std::vector<int64_t> part_begins{0};  // number of the first window of each part, and of all
  for (const CorpusPart& part : corpus.parts) {
    const int64_t followed = std::max<int64_t>(part.tokens.size() - 1, 0);
    part_begins.push_back(part_begins.back() + (followed + seq_len - 1) / seq_len);
  }
  const int64_t all = part_begins.back();
  if (max_predictions < 0) {
    take_evenly(part_begins, all);
    return;
  }
  // Short windows and the ends of documents predict less than seq_len: more windows are needed
  // then.
  int64_t count = std::min(all, (max_predictions + seq_len - 1) / seq_len);
  take_evenly(part_begins, count);
  while (predictions_ < max_predictions && count < all) {
    const double needed = static_cast<double>(count) * static_cast<double>(max_predictions) /
                          static_cast<double>(std::max<int64_t>(predictions_, 1));
    count = needed >= static_cast<double>(all) ? all
                                               : std::max(count + 1, static_cast<int64_t>(needed));
    take_evenly(part_begins, count);
  }
  cut_to(max_predictions);
}

const TokenStream& HeldOut::stream(const Cut& cut) const {
  return corpus_.parts[static_cast<size_t>(cut.part)].tokens;
}

int64_t HeldOut::predictions(const Cut& cut) const {
  if (!mask_documents_) return cut.tokens;
  return cut.tokens - stream(cut).documents_beginning(cut.first + 1, cut.tokens);
}

// `count` of the windows that part_begins numbers: from the middle of each of as many equal pieces.
void HeldOut::take_evenly(const std::vector<int64_t>& part_begins, int64_t count) {
  windows_.clear();
  predictions_ = 0;
  const int64_t all = part_begins.back();
  size_t part = 0;
  for (int64_t i = 0; i < count; ++i) {
    const int64_t spacing = all / count;
    const int64_t window = i * spacing + all % count * i / count + spacing / 2;
    while (window >= part_begins[part + 1]) ++part;
    const int64_t first = (window - part_begins[part]) * seq_len_;
    const int64_t followed = corpus_.parts[part].tokens.size() - 1 - first;
    windows_.push_back(
        {static_cast<int32_t>(part), static_cast<int32_t>(std::min(seq_len_, followed)), first});
    predictions_ += predictions(windows_.back());
  }
}

void HeldOut::cut_to(int64_t max_predictions) {
  while (predictions_ > max_predictions) {
    Cut& last = windows_.back();
    const int64_t before = predictions_ - predictions(last);
    if (before >= max_predictions) {
      windows_.pop_back();
      predictions_ = before;
      continue;
    }
    last.tokens = static_cast<int32_t>(max_predictions - before);  // the fewest that may do
    while (before + predictions(last) < max_predictions) ++last.tokens;
    predictions_ = max_predictions;
  }
}

int64_t HeldOut::target_bytes(const Tokenizer& tokenizer) const {
  int64_t bytes = 0;
  std::vector<int32_t> ids;
  std::vector<uint8_t> endings;
  std::vector<int32_t> documents;
  for (const Cut& cut : windows_) {
    const auto count = static_cast<size_t>(cut.tokens);
    const TokenStream& tokens = stream(cut);
    ids.resize(count);
    endings.resize(count);
    documents.resize(count + 1);
    tokens.read(cut.first + 1, ids, tokenizer.vocab_size());
    tokens.read_endings(cut.first + 1, endings);
    if (mask_documents_) tokens.read_documents(cut.first, documents);
    for (size_t i = 0; i < count; ++i) {
      const bool predicted = !mask_documents_ || documents[i + 1] == documents[i];
      const bool is_text = endings[i] == 0 && (tokens.of_text() || !tokenizer.is_special(ids[i]));
      if (predicted && is_text) bytes += static_cast<int64_t>(tokenizer.id_to_bytes(ids[i]).size());
    }
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
    const int64_t at = (w - begin) * seq_len_;
    tokens.resize(static_cast<size_t>(cut.tokens) + 1);
    documents.resize(static_cast<size_t>(cut.tokens) + 1);
    stream(cut).read(cut.first, tokens, corpus_.vocab);
    stream(cut).read_documents(cut.first, documents);
    std::copy(tokens.begin(), tokens.end() - 1, batch.ids.begin() + at);
    std::copy(tokens.begin() + 1, tokens.end(), batch.targets.begin() + at);
    for (int64_t s = 0; s < seq_len_; ++s)  // padding continues the last document
      batch.documents[static_cast<size_t>(at + s)] =
          documents[static_cast<size_t>(std::min<int64_t>(s, cut.tokens - 1))] - documents[0];
    for (int32_t s = 0; mask_documents_ && s < cut.tokens; ++s) {
      const auto here = static_cast<size_t>(s);
      if (documents[here + 1] != documents[here])
        batch.targets[static_cast<size_t>(at + s)] = kNoTarget;
    }
    std::fill_n(batch.valid.begin() + at, cut.tokens, uint8_t{1});
    batch.samples[static_cast<size_t>(w - begin)] = w;
    batch.predictions += predictions(cut);
  }
  return batch;
}

}  // namespace troupe
