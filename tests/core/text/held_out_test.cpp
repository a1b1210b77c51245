#include "core/text/held_out.h"

#include <gtest/gtest.h>

#include <numeric>

#include "tests/core/text/fixtures.h"

namespace troupe {
namespace {

Corpus corpus_of(const std::vector<int64_t>& sizes) {
  Corpus corpus;
  corpus.vocab = 256;
  for (const int64_t size : sizes) {
    std::vector<int32_t> ids(static_cast<size_t>(size));
    std::iota(ids.begin(), ids.end(), 0);
    TokenBuilder builder(256);
    builder.add(std::span(ids).first(ids.size() / 2));
    builder.start_document();
    builder.add(std::span(ids).subspan(ids.size() / 2));
    corpus.parts.push_back({"part", 1.0, builder.finish("part")});
  }
  return corpus;
}

TEST(HeldOut, PredictsEachTokenButTheFirstOnce) {
  for (const int64_t size : {2, 5, 9, 10, 11, 100}) {
    const Corpus corpus = corpus_of({size});
    const HeldOut held_out(corpus, 4);
    EXPECT_EQ(held_out.predictions(), size - 1);
    EXPECT_EQ(held_out.windows(), (size - 1 + 3) / 4);
    std::vector<int32_t> targets;
    for (int64_t w = 0; w < held_out.windows(); ++w) {
      const TokenBatch batch = held_out.batch(w, 0, 1, 1);
      ASSERT_EQ(batch.sequences, 1);
      for (size_t s = 0; s < 4; ++s) {
        if (batch.valid[s] == 0) {
          EXPECT_EQ(w, held_out.windows() - 1);
          EXPECT_EQ(batch.ids[s], 0);
          continue;
        }
        EXPECT_EQ(batch.ids[s], w * 4 + static_cast<int64_t>(s));
        targets.push_back(batch.targets[s]);
      }
    }
    std::vector<int32_t> expected(static_cast<size_t>(size - 1));
    std::iota(expected.begin(), expected.end(), 1);
    EXPECT_EQ(targets, expected);
  }
}

TEST(HeldOut, RanksTogetherCoverEachWindowOnce) {
  const Corpus corpus = corpus_of({100, 1, 2, 61});
  const HeldOut held_out(corpus, 7);
  EXPECT_EQ(held_out.predictions(), 99 + 0 + 1 + 60);
  for (const int64_t ranks : {1, 2, 3, 5, 40})
    for (const int64_t sequences : {1, 2, 4}) {
      std::vector<int64_t> covered;
      int64_t predictions = 0;
      for (int64_t i = 0; i < held_out.batches(ranks, sequences); ++i)
        for (int64_t rank = 0; rank < ranks; ++rank) {
          const TokenBatch batch = held_out.batch(i, rank, ranks, sequences);
          EXPECT_LE(batch.sequences, sequences);
          EXPECT_EQ(static_cast<int64_t>(batch.ids.size()), batch.sequences * 7);
          EXPECT_EQ(std::accumulate(batch.valid.begin(), batch.valid.end(), int64_t{0}),
                    batch.predictions);
          covered.insert(covered.end(), batch.samples.begin(), batch.samples.end());
          predictions += batch.predictions;
        }
      std::vector<int64_t> expected(static_cast<size_t>(held_out.windows()));
      std::iota(expected.begin(), expected.end(), 0);
      EXPECT_EQ(covered, expected) << ranks << " ranks, " << sequences << " sequences";
      EXPECT_EQ(predictions, held_out.predictions());
    }
}

TEST(HeldOut, StopsAtALimit) {
  const Corpus corpus = corpus_of({20, 20});
  for (const int64_t limit : {0, 1, 4, 7, 19, 21, 38, 100}) {
    const HeldOut held_out(corpus, 4, limit);
    EXPECT_EQ(held_out.predictions(), std::min<int64_t>(limit, 38));
  }
}

TEST(HeldOut, NumbersDocumentsFromZeroAndPads) {
  const Corpus corpus = corpus_of({10});  // documents begin at 0 and 5
  const HeldOut held_out(corpus, 4);
  TokenBatch batch = held_out.batch(0, 0, 1, 3);
  EXPECT_EQ(batch.documents, (std::vector<int32_t>{0, 0, 0, 0, 0, 1, 1, 1, 0, 0, 0, 0}));
  EXPECT_EQ(batch.valid, (std::vector<uint8_t>{1, 1, 1, 1, 1, 1, 1, 1, 1, 0, 0, 0}));
  batch.pad_to(5);
  EXPECT_EQ(batch.sequences, 5);
  EXPECT_EQ(batch.samples, (std::vector<int64_t>{0, 1, 2, 3, 4}));
  EXPECT_EQ(batch.valid.size(), 20U);
  EXPECT_EQ(batch.predictions, 9);
}

TEST(HeldOut, CountsTheBytesOfItsTargets) {
  const auto tokenizer = load_tokenizer(test::data_path("small_json/gpt2.json"));
  const test::TemporaryDirectory folder;
  const std::string text = "the cat and the hat, the end of the world";
  test::write_text(folder / "t.txt", text);
  const Corpus corpus = load_corpus(folder / "t.txt", *tokenizer, tokenizer->vocab_size());
  const HeldOut held_out(corpus, 5);
  const auto first = tokenizer->id_to_bytes(tokenizer->encode(text)[0]).size();
  EXPECT_EQ(held_out.target_bytes(*tokenizer), static_cast<int64_t>(text.size() - first));
}

}  // namespace
}  // namespace troupe
