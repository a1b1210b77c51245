#include "core/text/sampler.h"

#include <algorithm>
#include <cmath>

#include "core/base/error.h"
#include "core/base/random.h"
#include "core/text/permutation.h"

namespace troupe {
namespace {

constexpr int64_t kPeriod = 65536;

// Samples of each part in a period: the largest remainders are rounded up, and no part gets none.
std::vector<int64_t> shares(const std::vector<CorpusPart>& parts) {
  double total = 0.0;
  for (const CorpusPart& part : parts) total += part.weight;
  std::vector<int64_t> counts;
  std::vector<std::pair<double, size_t>> remainders;
  int64_t left = kPeriod;
  for (size_t p = 0; p < parts.size(); ++p) {
    const double exact = parts[p].weight / total * static_cast<double>(kPeriod);
    counts.push_back(std::max<int64_t>(1, static_cast<int64_t>(exact)));
    remainders.emplace_back(static_cast<double>(counts.back()) - exact, p);
    left -= counts.back();
  }
  std::sort(remainders.begin(), remainders.end());
  for (size_t i = 0; left > 0; i = (i + 1) % parts.size(), --left) ++counts[remainders[i].second];
  while (left < 0) {  // tiny weights were rounded up: the largest part pays
    --*std::max_element(counts.begin(), counts.end());
    ++left;
  }
  return counts;
}

}  // namespace

Sampler::Sampler(const Corpus& corpus, int64_t seq_len, uint64_t seed, bool mask_documents)
    : corpus_(corpus), seq_len_(seq_len), seed_(seed), mask_documents_(mask_documents) {
  require(seq_len > 0 && !corpus.parts.empty(), "a sampler of {} parts with seq_len {}",
          corpus.parts.size(), seq_len);
  require(static_cast<int64_t>(corpus.parts.size()) <= kPeriod, "{} parts of a corpus",
          corpus.parts.size());
  for (const CorpusPart& part : corpus.parts) {
    require(part.tokens.size() > seq_len, "{} has {} tokens, seq_len is {}", part.path,
            part.tokens.size(), seq_len);
    require(std::isfinite(part.weight) && part.weight > 0.0, "{} has weight {}", part.path,
            part.weight);
  }
  epoch_begins_.assign(corpus.parts.size(), {0});
  if (corpus.parts.size() == 1) return;
  pattern_count_ = shares(corpus.parts);
  // The part that is furthest behind its share comes next; ties to the first part.
  std::vector<int64_t> used(corpus.parts.size(), 0);
  for (int64_t i = 0; i < kPeriod; ++i) {
    size_t next = 0;
    int64_t furthest = INT64_MIN;
    for (size_t p = 0; p < used.size(); ++p) {
      const int64_t behind = (i + 1) * pattern_count_[p] - used[p] * kPeriod;
      if (behind > furthest && used[p] < pattern_count_[p]) {
        furthest = behind;
        next = p;
      }
    }
    pattern_.push_back(static_cast<int32_t>(next));
    pattern_rank_.push_back(static_cast<int32_t>(used[next]++));
  }
}

int64_t Sampler::epoch_offset(int32_t part, int64_t epoch) const {
  const int64_t tokens = corpus_.parts[static_cast<size_t>(part)].tokens.size();
  // A short part keeps at least one window.
  const int64_t offsets = std::min(seq_len_, tokens - seq_len_);
  const Random random(seed_, "data.offset", std::to_string(part));
  return static_cast<int64_t>(
      random.below(static_cast<uint64_t>(epoch), static_cast<uint64_t>(offsets)));
}

int64_t Sampler::epoch_windows(int32_t part, int64_t epoch) const {
  const int64_t tokens = corpus_.parts[static_cast<size_t>(part)].tokens.size();
  return (tokens - 1 - epoch_offset(part, epoch)) / seq_len_;
}

int64_t Sampler::epoch_begin(int32_t part, int64_t epoch) {
  std::vector<int64_t>& begins = epoch_begins_[static_cast<size_t>(part)];
  while (static_cast<int64_t>(begins.size()) <= epoch)
    begins.push_back(begins.back() + epoch_windows(part, static_cast<int64_t>(begins.size()) - 1));
  return begins[static_cast<size_t>(epoch)];
}

Window Sampler::window(int64_t sample) {
  require(sample >= 0, "sample {}", sample);
  int32_t part = 0;
  int64_t index = sample;  // counted inside the part
  if (!pattern_.empty()) {
    const auto place = static_cast<size_t>(sample % kPeriod);
    part = pattern_[place];
    index = sample / kPeriod * pattern_count_[static_cast<size_t>(part)] + pattern_rank_[place];
  }
  const std::vector<int64_t>& begins = epoch_begins_[static_cast<size_t>(part)];
  while (begins.back() <= index) epoch_begin(part, static_cast<int64_t>(begins.size()));
  const int64_t epoch = std::upper_bound(begins.begin(), begins.end(), index) - begins.begin() - 1;
  const Random random(seed_, "data.order", std::to_string(part));
  const uint64_t number = permute(
      random, static_cast<uint64_t>(epoch), static_cast<uint64_t>(epoch_windows(part, epoch)),
      static_cast<uint64_t>(index - begins[static_cast<size_t>(epoch)]));
  return {part, epoch_offset(part, epoch) + static_cast<int64_t>(number) * seq_len_};
}

TokenBatch Sampler::batch(std::span<const int64_t> samples, int64_t base) {
  TokenBatch batch;
  batch.sequences = static_cast<int64_t>(samples.size());
  batch.seq_len = seq_len_;
  const size_t length = static_cast<size_t>(seq_len_);
  batch.ids.resize(samples.size() * length);
  batch.targets.resize(samples.size() * length);
  batch.documents.resize(samples.size() * length);
  batch.valid.assign(samples.size() * length, 1);
  batch.predictions = batch.sequences * seq_len_;
  std::vector<int32_t> tokens(length + 1);
  std::vector<int32_t> documents(length + 1);
  for (size_t b = 0; b < samples.size(); ++b) {
    const Window place = window(samples[b]);
    const TokenStream& stream = corpus_.parts[static_cast<size_t>(place.part)].tokens;
    stream.read(place.first, tokens, corpus_.vocab);
    std::copy_n(tokens.begin(), length, batch.ids.begin() + static_cast<int64_t>(b * length));
    std::copy_n(tokens.begin() + 1, length,
                batch.targets.begin() + static_cast<int64_t>(b * length));
    stream.read_documents(place.first, documents);
    for (size_t s = 0; s < length; ++s) {
      batch.documents[b * length + s] = documents[s] - documents[0];
      if (!mask_documents_ || documents[s + 1] == documents[s]) continue;
      batch.targets[b * length + s] = kNoTarget;
      --batch.predictions;
    }
    batch.samples.push_back(samples[b] - base);
  }
  return batch;
}

int64_t Sampler::predictions(int64_t first, int64_t count) {
  int64_t sum = count * seq_len_;
  for (int64_t sample = first; mask_documents_ && sample < first + count; ++sample) {
    const Window place = window(sample);
    const TokenStream& stream = corpus_.parts[static_cast<size_t>(place.part)].tokens;
    sum -= stream.documents_beginning(place.first + 1, seq_len_);
  }
  return sum;
}

int64_t Sampler::drawn(int32_t part, int64_t samples) const {
  if (pattern_.empty()) return samples;
  const int64_t count = pattern_count_[static_cast<size_t>(part)];
  const int64_t rest = samples % kPeriod;
  return samples / kPeriod * count + std::count(pattern_.begin(), pattern_.begin() + rest, part);
}

}  // namespace troupe
