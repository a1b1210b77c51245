#include "core/text/held_out.h"

#include <gtest/gtest.h>

#include <numeric>

#include "core/text/token_build.h"
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

// Positions of the windows in the text: (part, first token).
std::vector<std::pair<int, int32_t>> places(const HeldOut& held_out) {
  std::vector<std::pair<int, int32_t>> out;
  for (int64_t w = 0; w < held_out.windows(); ++w) {
    const int32_t id = held_out.batch(w, 0, 1, 1).ids[0];
    out.emplace_back(id / 1000, id % 1000);
  }
  return out;
}

// Ids tell part and position.
Corpus large_parts(const std::vector<int32_t>& sizes) {
  Corpus corpus;
  corpus.vocab = 100000;
  for (size_t p = 0; p < sizes.size(); ++p) {
    std::vector<int32_t> ids(static_cast<size_t>(sizes[p]));
    std::iota(ids.begin(), ids.end(), static_cast<int32_t>(1000 * p));
    TokenBuilder builder(corpus.vocab);
    builder.add(ids);
    corpus.parts.push_back({"part", p == 0 ? 100.0 : 1.0, builder.finish("part")});
  }
  return corpus;
}

// A limit takes windows from the middles of equal pieces of the whole text, weights aside.
TEST(HeldOut, ALimitIsSpreadOverAllParts) {
  const Corpus corpus = large_parts({401, 801, 401});
  EXPECT_EQ(places(HeldOut(corpus, 4, 16)),
            (std::vector<std::pair<int, int32_t>>{{0, 200}, {1, 200}, {1, 600}, {2, 200}}));
  EXPECT_EQ(HeldOut(corpus, 4, 16).predictions(), 16);
  EXPECT_EQ(places(HeldOut(corpus, 4, 1600)).size(), 400U);
  for (const int64_t limit : {1, 3, 10, 57, 399, 640, 1333, 1599}) {
    const HeldOut held_out(corpus, 4, limit);
    EXPECT_EQ(held_out.predictions(), limit);
    EXPECT_EQ(held_out.windows(), (limit + 3) / 4);
    const auto list = places(held_out);
    std::vector<int64_t> of_part(3, 0);
    for (size_t i = 0; i < list.size(); ++i) {
      if (i > 0) {
        EXPECT_LT(list[i - 1], list[i]);
      }
      ++of_part[static_cast<size_t>(list[i].first)];
    }
    for (size_t p = 0; p < 3; ++p) {
      const double share = static_cast<double>(list.size()) * (p == 1 ? 0.5 : 0.25);
      EXPECT_NEAR(static_cast<double>(of_part[p]), share, 1.0) << limit << " part " << p;
    }
  }
}

// Short windows at the ends of many small parts: the limit is met all the same.
TEST(HeldOut, ALimitIsMetWithShortWindows) {
  const Corpus corpus = large_parts(std::vector<int32_t>(40, 4));
  for (const int64_t limit : {1, 2, 3, 50, 119, 120, 500}) {
    EXPECT_EQ(HeldOut(corpus, 8, limit).predictions(), std::min<int64_t>(limit, 120)) << limit;
    EXPECT_EQ(HeldOut(corpus, 8, limit, true).predictions(), std::min<int64_t>(limit, 120));
  }
}

Corpus documents_of(const std::vector<std::string>& texts) {
  TokenBuilder builder(256);
  for (const std::string& text : texts) {
    builder.start_document();
    builder.add(std::vector<int32_t>(text.begin(), text.end()));
  }
  Corpus corpus;
  corpus.vocab = 256;
  corpus.parts.push_back({"part", 1.0, builder.finish("part")});
  return corpus;
}

// Where attention stays inside documents, nothing foretells the first token of the next one.
TEST(HeldOut, DoesNotPredictTheFirstTokenOfADocument) {
  const Corpus corpus = documents_of({"abcd", "efgh"});
  EXPECT_EQ(HeldOut(corpus, 8).predictions(), 7);
  const HeldOut held_out(corpus, 8, -1, true);
  EXPECT_EQ(held_out.predictions(), 6);
  const TokenBatch batch = held_out.batch(0, 0, 1, 1);
  EXPECT_EQ(batch.predictions, 6);
  EXPECT_EQ(batch.targets, (std::vector<int32_t>{'b', 'c', 'd', kNoTarget, 'f', 'g', 'h', 0}));
  EXPECT_EQ(batch.valid, (std::vector<uint8_t>{1, 1, 1, 1, 1, 1, 1, 0}));
  EXPECT_EQ(held_out.target_bytes(*load_tokenizer("byte")), 6);
  // At the end of a window, and with a limit that falls on such a place.
  for (const int64_t seq_len : {1, 2, 3, 4, 5})
    EXPECT_EQ(HeldOut(corpus, seq_len, -1, true).predictions(), 6) << seq_len;
  for (const int64_t limit : {1, 2, 3, 4, 5, 6, 7}) {
    const HeldOut some(corpus, 3, limit, true);
    EXPECT_EQ(some.predictions(), std::min<int64_t>(limit, 6)) << limit;
    int64_t counted = 0;
    for (int64_t w = 0; w < some.windows(); ++w) {
      const TokenBatch one = some.batch(w, 0, 1, 1);
      for (size_t s = 0; s < 3; ++s)
        counted += one.valid[s] != 0 && one.targets[s] != kNoTarget ? 1 : 0;
    }
    EXPECT_EQ(counted, some.predictions()) << limit;
  }
  EXPECT_EQ(HeldOut(documents_of({"a", "b", "c"}), 2, -1, true).predictions(), 0);
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

// What was put between the texts is no text of theirs.
TEST(HeldOut, CountsTheBytesOfTheTextAlone) {
  const auto tokenizer = load_tokenizer(test::data_path("small_json/gpt2.json"));
  const int64_t vocab = tokenizer->vocab_size();
  const test::TemporaryDirectory folder;
  std::string rows;
  for (int i = 0; i < 1000; ++i) rows += "{\"text\": \"abcd\"}\n";
  test::write_text(folder / "short.jsonl", rows);
  const auto first = static_cast<int64_t>(
      tokenizer->id_to_bytes(tokenizer->encode("abcd")[0]).size());  // never predicted
  const Corpus corpus = load_corpus(folder / "short.jsonl", *tokenizer, vocab);
  for (const int64_t seq_len : {1, 3, 64})
    EXPECT_EQ(HeldOut(corpus, seq_len).target_bytes(*tokenizer), 4000 - first) << seq_len;
  // The same as a folder and as a part that is held out.
  test::write_text(folder / "t/a.txt", "abcd");
  test::write_text(folder / "t/b.txt", "efgh");
  EXPECT_EQ(HeldOut(load_corpus(folder / "t", *tokenizer, vocab), 4).target_bytes(*tokenizer),
            8 - first);
  DataSpec spec;
  spec.train = {{folder / "short.jsonl", 1.0}};
  spec.val_fraction = 0.5;
  const RunData data = load_run_data(spec, *tokenizer, vocab, 8);
  const TokenStream& tokens = data.held_out.parts[0].tokens;
  std::vector<int32_t> ids(static_cast<size_t>(tokens.size()));
  tokens.read(0, ids, vocab);
  int64_t letters = 0;
  for (size_t i = 1; i < ids.size(); ++i)
    if (!tokenizer->is_special(ids[i]))
      letters += static_cast<int64_t>(tokenizer->id_to_bytes(ids[i]).size());
  EXPECT_EQ(HeldOut(data.held_out, 8).target_bytes(*tokenizer), letters);
}

// A special token that an author spelled out is a text of so many letters; in a pair of token files
// nobody knows, and it counts as none.
TEST(HeldOut, SpelledOutSpecialTokensAreText) {
  const auto tokenizer = load_tokenizer(test::data_path("small_json/gpt2.json"));
  const int64_t vocab = tokenizer->vocab_size();
  const test::TemporaryDirectory folder;
  const std::string text = "the cat<|endoftext|>the end<|endoftext|>";
  test::write_text(folder / "t.txt", text);
  test::write_text(folder / "r.jsonl", "{\"text\": \"" + text + "\"}\n");
  const auto first =
      static_cast<int64_t>(tokenizer->id_to_bytes(tokenizer->encode(text)[0]).size());
  for (const char* name : {"t.txt", "r.jsonl"}) {
    const Corpus corpus = load_corpus(folder / name, *tokenizer, vocab);
    EXPECT_EQ(HeldOut(corpus, 4).target_bytes(*tokenizer),
              static_cast<int64_t>(text.size()) - first)
        << name;
  }
  BuildRequest request;
  request.inputs = {folder / "r.jsonl"};
  request.tokenizer_name = "x";
  request.prefix = folder / "pair";
  build_token_file(request, *tokenizer, [](int64_t, int64_t) {});
  const Corpus pair = load_corpus(folder / "pair", *tokenizer, vocab);
  EXPECT_EQ(HeldOut(pair, 4).target_bytes(*tokenizer), 7 + 7 - first);
}

}  // namespace
}  // namespace troupe
