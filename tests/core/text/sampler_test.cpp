#include "core/text/sampler.h"

#include <gtest/gtest.h>

#include <map>
#include <numeric>
#include <random>
#include <set>

#include "core/text/permutation.h"

namespace troupe {
namespace {

// Token i has id i, so a batch shows where it was cut.
Corpus counting_corpus(const std::vector<int64_t>& sizes, const std::vector<double>& weights = {}) {
  Corpus corpus;
  corpus.vocab = 1 << 20;
  for (size_t p = 0; p < sizes.size(); ++p) {
    std::vector<int32_t> ids(static_cast<size_t>(sizes[p]));
    std::iota(ids.begin(), ids.end(), 0);
    TokenBuilder builder(corpus.vocab);
    builder.add(ids);
    corpus.parts.push_back({"part", weights.empty() ? 1.0 : weights[p], builder.finish("part")});
  }
  return corpus;
}

TEST(Permute, IsAPermutation) {
  const Random random(5, "test");
  for (const uint64_t size : {1U, 2U, 3U, 4U, 5U, 17U, 64U, 65U, 1000U})
    for (const uint64_t number : {0U, 1U, 99U}) {
      std::set<uint64_t> seen;
      for (uint64_t i = 0; i < size; ++i) seen.insert(permute(random, number, size, i));
      EXPECT_EQ(seen.size(), size);
      EXPECT_EQ(*seen.rbegin(), size - 1);
    }
}

TEST(Permute, ReachesAllOrdersEquallyOften) {
  const Random random(6, "test");
  std::map<std::vector<uint64_t>, int> orders;
  constexpr int kDraws = 24'000;
  for (uint64_t number = 0; number < kDraws; ++number) {
    std::vector<uint64_t> order;
    for (uint64_t i = 0; i < 4; ++i) order.push_back(permute(random, number, 4, i));
    ++orders[order];
  }
  EXPECT_EQ(orders.size(), 24U);
  double chi_square = 0.0;
  for (const auto& [order, count] : orders)
    chi_square += (count - 1000.0) * (count - 1000.0) / 1000.0;
  // 23 degrees of freedom: 49.7 is exceeded once in a thousand. A 4-element network of 2-bit halves
  // reaches even and odd orders alike only through cycle walking, so it is not perfectly even.
  EXPECT_LT(chi_square, 49.7);
}

TEST(Sampler, AnEpochTakesEachWindowOnce) {
  std::mt19937 random(11);
  for (int round = 0; round < 60; ++round) {
    const int64_t seq_len = 1 + static_cast<int64_t>(random() % 9);
    const int64_t tokens = seq_len + 1 + static_cast<int64_t>(random() % 200);
    const Corpus corpus = counting_corpus({tokens});
    Sampler sampler(corpus, seq_len, random());
    for (int64_t epoch = 0; epoch < 5; ++epoch) {
      const int64_t begin = sampler.epoch_begin(0, epoch);
      const int64_t end = sampler.epoch_begin(0, epoch + 1);
      ASSERT_EQ(end - begin, sampler.epoch_windows(0, epoch));
      std::set<int64_t> firsts;
      for (int64_t sample = begin; sample < end; ++sample)
        firsts.insert(sampler.window(sample).first);
      ASSERT_EQ(static_cast<int64_t>(firsts.size()), end - begin);
      // Together they are all windows from one offset below seq_len.
      const int64_t offset = *firsts.begin();
      EXPECT_LT(offset, seq_len);
      EXPECT_EQ(static_cast<int64_t>(firsts.size()), (tokens - 1 - offset) / seq_len);
      EXPECT_EQ(*firsts.rbegin(), offset + (end - begin - 1) * seq_len);
      for (const int64_t first : firsts) EXPECT_EQ((first - offset) % seq_len, 0);
      EXPECT_LE(*firsts.rbegin() + seq_len + 1, tokens);
    }
  }
}

TEST(Sampler, EpochsDifferInOffsetAndOrder) {
  const Corpus corpus = counting_corpus({10'000});
  Sampler sampler(corpus, 16, 1);
  std::set<int64_t> offsets;
  for (int64_t epoch = 0; epoch < 200; ++epoch)
    offsets.insert(sampler.window(sampler.epoch_begin(0, epoch)).first % 16);
  EXPECT_EQ(offsets.size(), 16U);
  int rising = 0;
  for (int64_t sample = 0; sample < 600; ++sample)
    rising += sampler.window(sample + 1).first > sampler.window(sample).first;
  EXPECT_NEAR(rising, 300, 75);
}

TEST(Sampler, DependsOnTheSeedOnly) {
  const Corpus corpus = counting_corpus({5000, 3000}, {2.0, 1.0});
  Sampler forward(corpus, 8, 42);
  Sampler backward(corpus, 8, 42);
  Sampler other(corpus, 8, 43);
  int same = 0;
  std::vector<int64_t> firsts;
  for (int64_t sample = 0; sample < 3000; ++sample) {
    firsts.push_back(forward.window(sample).first);
    same += other.window(sample).first == firsts.back();
  }
  for (int64_t sample = 2999; sample >= 0; --sample)  // no order of asking matters
    EXPECT_EQ(backward.window(sample).first, firsts[static_cast<size_t>(sample)]);
  EXPECT_LT(same, 300);
}

TEST(Sampler, AnySplitOverRanksGivesTheSameSamples) {
  const Corpus corpus = counting_corpus({4000, 700}, {3.0, 1.0});
  constexpr int64_t kBatch = 12;
  const auto numbers = [](int64_t begin, int64_t count) {
    std::vector<int64_t> samples(static_cast<size_t>(count));
    std::iota(samples.begin(), samples.end(), begin);
    return samples;
  };
  for (int64_t step = 0; step < 40; ++step) {
    Sampler one(corpus, 10, 9);
    const TokenBatch whole = one.batch(numbers(step * kBatch, kBatch), step * kBatch);
    for (const int64_t ranks : {2, 3, 4, 6, 12}) {
      std::vector<int32_t> ids;
      std::vector<int64_t> samples;
      for (int64_t rank = 0; rank < ranks; ++rank) {
        Sampler mine(corpus, 10, 9);
        const int64_t count = kBatch / ranks;
        const TokenBatch part =
            mine.batch(numbers(step * kBatch + rank * count, count), step * kBatch);
        ids.insert(ids.end(), part.ids.begin(), part.ids.end());
        samples.insert(samples.end(), part.samples.begin(), part.samples.end());
      }
      ASSERT_EQ(ids, whole.ids);
      ASSERT_EQ(samples, whole.samples);
      EXPECT_EQ(samples.front(), 0);
    }
  }
}

TEST(Sampler, TargetsAreTheNextTokens) {
  TokenBuilder builder(256);
  builder.add(std::vector<int32_t>{0, 1, 2, 3, 4, 5});
  builder.start_document();
  builder.add(std::vector<int32_t>{6, 7, 8, 9, 10, 11});
  Corpus corpus;
  corpus.vocab = 256;
  corpus.parts.push_back({"p", 1.0, builder.finish("p")});
  Sampler sampler(corpus, 5, 3);
  const std::vector<int64_t> samples = {0, 1, 2};
  const TokenBatch batch = sampler.batch(samples);
  ASSERT_EQ(batch.ids.size(), 15U);
  EXPECT_EQ(batch.predictions, 15);
  for (size_t i = 0; i < 15; ++i) {
    EXPECT_EQ(batch.targets[i], batch.ids[i] + 1);
    EXPECT_EQ(batch.valid[i], 1);
    const int32_t start = batch.ids[i / 5 * 5];
    EXPECT_EQ(batch.documents[i], batch.ids[i] >= 6 && start < 6 ? 1 : 0);
  }
}

// With attention inside documents the first token of a document is not predicted.
TEST(Sampler, PredictsInsideDocumentsOnly) {
  TokenBuilder builder(256);
  int32_t id = 0;
  std::vector<bool> begins;
  for (const size_t length : {4, 1, 1, 7, 3, 9, 2, 30}) {
    builder.start_document();
    for (size_t i = 0; i < length; ++i) {
      builder.add(std::vector<int32_t>{id++});
      begins.push_back(i == 0);
    }
  }
  Corpus corpus;
  corpus.vocab = 256;
  corpus.parts.push_back({"p", 1.0, builder.finish("p")});
  Sampler sampler(corpus, 5, 3, true);
  Sampler plain(corpus, 5, 3);
  EXPECT_EQ(plain.predictions(7, 30), 150);
  int64_t sum = 0;
  for (int64_t sample = 7; sample < 37; ++sample) {
    const TokenBatch batch = sampler.batch(std::vector<int64_t>{sample});
    const TokenBatch all = plain.batch(std::vector<int64_t>{sample});
    EXPECT_EQ(batch.ids, all.ids);
    EXPECT_EQ(batch.documents, all.documents);
    int64_t predictions = 0;
    for (size_t s = 0; s < 5; ++s) {
      const bool first = begins[static_cast<size_t>(all.targets[s])];
      EXPECT_EQ(batch.targets[s], first ? kNoTarget : all.targets[s]);
      EXPECT_EQ(batch.valid[s], 1);
      predictions += first ? 0 : 1;
    }
    EXPECT_EQ(batch.predictions, predictions);
    EXPECT_EQ(sampler.predictions(sample, 1), predictions);
    sum += predictions;
  }
  EXPECT_EQ(sampler.predictions(7, 30), sum);
  EXPECT_LT(sum, 150);
}

TEST(Sampler, MixesByWeight) {
  const std::vector<double> weights = {0.5, 0.3, 0.2, 1e-9};
  const Corpus corpus = counting_corpus({500, 400, 300, 200}, weights);
  Sampler sampler(corpus, 4, 7);
  std::vector<int64_t> counts(4, 0);
  std::vector<std::set<int64_t>> seen(4);
  for (int64_t sample = 0; sample < 70'000; ++sample) {
    const Window window = sampler.window(sample);
    ++counts[static_cast<size_t>(window.part)];
    if (sample % 7919 == 0) {
      for (int32_t p = 0; p < 4; ++p)
        EXPECT_EQ(sampler.drawn(p, sample + 1), counts[static_cast<size_t>(p)]);
    }
    // Every moment is close to the shares.
    for (size_t p = 0; p < 3; ++p)
      ASSERT_NEAR(static_cast<double>(counts[p]), weights[p] * static_cast<double>(sample + 1),
                  2.5);
  }
  EXPECT_GE(counts[3], 1);  // however small its weight
  EXPECT_LE(counts[3], 2);
}

TEST(Sampler, EachPartOfAMixHasItsOwnEpochs) {
  const Corpus corpus = counting_corpus({101, 41}, {1.0, 1.0});
  Sampler sampler(corpus, 10, 5);
  std::vector<std::vector<int64_t>> firsts(2);
  for (int64_t sample = 0; sample < 60; ++sample) {
    const Window window = sampler.window(sample);
    firsts[static_cast<size_t>(window.part)].push_back(window.first);
  }
  for (int32_t part = 0; part < 2; ++part) {
    const auto& list = firsts[static_cast<size_t>(part)];
    ASSERT_EQ(list.size(), 30U);
    for (int64_t epoch = 0; sampler.epoch_begin(part, epoch + 1) <= 30; ++epoch) {
      const std::set<int64_t> windows(list.begin() + sampler.epoch_begin(part, epoch),
                                      list.begin() + sampler.epoch_begin(part, epoch + 1));
      EXPECT_EQ(static_cast<int64_t>(windows.size()), sampler.epoch_windows(part, epoch));
    }
  }
}

}  // namespace
}  // namespace troupe
