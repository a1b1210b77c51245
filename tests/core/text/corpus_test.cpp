#include "core/text/corpus.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <map>

#include "core/base/error.h"
#include "core/text/token_file.h"
#include "tests/core/compression/compressed.h"
#include "tests/core/text/fixtures.h"

namespace troupe {
namespace {

using test::data_path;
using test::expect_error;
using test::TemporaryDirectory;
using test::write_text;

std::string text_of(const TokenStream& tokens, const Tokenizer& tokenizer) {
  std::vector<int32_t> ids(static_cast<size_t>(tokens.size()));
  tokens.read(0, ids, tokenizer.vocab_size());
  return tokenizer.decode(ids);
}

class CorpusTest : public testing::Test {
 protected:
  RunData load(const std::string& train, double fraction = 0.0, int64_t seq_len = 2,
               int64_t vocab = 256) {
    DataSpec spec;
    spec.train = {{folder_ / train, 1.0}};
    spec.val_fraction = fraction;
    spec.text = options_;
    return load_run_data(spec, *byte_, vocab, seq_len);
  }
  const TemporaryDirectory folder_;
  TextOptions options_;
  const std::unique_ptr<Tokenizer> byte_ = load_tokenizer("byte");
  const std::unique_ptr<Tokenizer> bpe_ = load_tokenizer(data_path("small_json/gpt2.json"));
};

TEST_F(CorpusTest, HoldsOutTheLastBytesOfAText) {
  write_text(folder_ / "a.txt", "0123456789abcdefghij");
  const RunData data = load("a.txt", 0.1);
  EXPECT_EQ(text_of(data.train.parts[0].tokens, *byte_), "0123456789abcdefgh");
  EXPECT_EQ(text_of(data.held_out.parts[0].tokens, *byte_), "ij");
  EXPECT_TRUE(load("a.txt").held_out.parts.empty());
}

TEST_F(CorpusTest, CutsTheUsualTextAtTheUsualByte) {
  DataSpec spec;
  spec.train = {{std::string(TROUPE_SOURCE_DIR) + "/configs/text/tinyshakespeare.txt", 1.0}};
  spec.val_fraction = 0.1;
  const RunData data = load_run_data(spec, *byte_, 256, 256);
  EXPECT_EQ(data.train.tokens(), 1'003'854);
  EXPECT_EQ(data.held_out.tokens(), 1'115'394 - 1'003'854);
}

TEST_F(CorpusTest, SaysHowFarTokenisingIs) {
  write_text(folder_ / "large.txt", std::string(10'000'000, 'x'));
  write_text(folder_ / "rows.jsonl", "{\"text\": \"abc\", \"more\": 1}\n{\"text\": \"defg\"}\n");
  DataSpec spec;
  spec.train = {{folder_ / "large.txt", 1.0}, {folder_ / "rows.jsonl", 1.0}};
  spec.val_fraction = 0.1;
  std::map<std::string, std::vector<int64_t>> seen;
  load_run_data(spec, *byte_, 256, 2, [&](const std::string& path, int64_t done, int64_t total) {
    EXPECT_EQ(total, path == spec.train[0].path ? 10'000'000 : 44);
    EXPECT_LE(done, total);
    seen[path].push_back(done);
  });
  const std::vector<int64_t>& large = seen[spec.train[0].path];
  EXPECT_GE(large.size(), 3U);
  EXPECT_TRUE(std::is_sorted(large.begin(), large.end()));
  EXPECT_EQ(large.back(), 10'000'000);
  EXPECT_EQ(seen[spec.train[1].path], (std::vector<int64_t>{44, 44}));
  // It may end the work.
  EXPECT_THROW(
      load_run_data(spec, *byte_, 256, 2,
                    [](const std::string&, int64_t, int64_t) { fail(ExitCode::data, ""); }),
      Error);
}

TEST_F(CorpusTest, DoesNotCutACharacter) {
  write_text(folder_ / "a.txt",
             "0123\xE2\x82\xAC"
             "789");  // the cut, byte 5, is inside the euro sign
  RunData data = load("a.txt", 0.5);
  EXPECT_EQ(text_of(data.train.parts[0].tokens, *byte_), "0123");
  EXPECT_EQ(text_of(data.held_out.parts[0].tokens, *byte_),
            "\xE2\x82\xAC"
            "789");
  write_text(folder_ / "a.txt", "0123\x80\x80\x80\x80\x80\x80");
  options_.keep_anything = true;
  data = load("a.txt", 0.5);
  EXPECT_EQ(data.train.tokens(), 5);
}

TEST_F(CorpusTest, TokenisesTheTwoSidesOfATextApart) {
  write_text(folder_ / "a.txt", "the the the the the the ");
  DataSpec spec;
  spec.train = {{folder_ / "a.txt", 1.0}};
  spec.val_fraction = 0.4;
  const RunData data = load_run_data(spec, *bpe_, bpe_->vocab_size(), 2);
  EXPECT_EQ(text_of(data.train.parts[0].tokens, *bpe_), "the the the th");
  EXPECT_EQ(text_of(data.held_out.parts[0].tokens, *bpe_), "e the the ");
}

TEST_F(CorpusTest, ReadsAFolderInOrder) {
  write_text(folder_ / "t/b.txt", "bbbb");
  write_text(folder_ / "t/a/z.txt", "zz");
  write_text(folder_ / "t/a.txt", "aaa");
  write_text(folder_ / "t/.hidden", "no");
  write_text(folder_ / "t/.git/x.txt", "no");
  write_text(folder_ / "t/empty.txt", "");
  const TokenStream tokens = load("t").train.parts[0].tokens;
  EXPECT_EQ(text_of(tokens, *byte_), "aaazzbbbb");  // "a.txt" < "a/z.txt" < "b.txt"
  EXPECT_EQ(std::vector<int64_t>(tokens.document_starts().begin(), tokens.document_starts().end()),
            (std::vector<int64_t>{0, 3, 5}));
  const RunData data = load("t", 0.3);  // cut at byte floor(6.3), inside b.txt
  EXPECT_EQ(text_of(data.train.parts[0].tokens, *byte_), "aaazzb");
  EXPECT_EQ(text_of(data.held_out.parts[0].tokens, *byte_), "bbb");
}

TEST_F(CorpusTest, EndsDocumentsOfFoldersAndRowsWithTheTokenForIt) {
  write_text(folder_ / "t/a.txt", "aa");
  write_text(folder_ / "t/b.txt", "bb");
  write_text(folder_ / "r.jsonl",
             "{\"text\": \"aa\"}\n\n{\"text\": \"\"}\r\n{\"text\": \"bb\", \"n\": 1}");
  const int64_t vocab = bpe_->vocab_size();
  for (const char* name : {"t", "r.jsonl"}) {
    const Corpus corpus = load_corpus(folder_ / name, *bpe_, vocab);
    EXPECT_EQ(text_of(corpus.parts[0].tokens, *bpe_), "aa<|endoftext|>bb<|endoftext|>");
    EXPECT_EQ(corpus.parts[0].tokens.documents(), 2);
  }
  EXPECT_EQ(text_of(load_corpus(folder_ / "t/a.txt", *bpe_, vocab).parts[0].tokens, *bpe_), "aa");
  // A file that is cut goes on on the other side: no end there.
  DataSpec spec;
  spec.train = {{folder_ / "t", 1.0}};
  spec.val_fraction = 0.25;
  const RunData data = load_run_data(spec, *bpe_, vocab, 2);
  EXPECT_EQ(text_of(data.train.parts[0].tokens, *bpe_), "aa<|endoftext|>b");
  EXPECT_EQ(text_of(data.held_out.parts[0].tokens, *bpe_), "b<|endoftext|>");
}

TEST_F(CorpusTest, CutsRowsAndTokenFilesAtTokens) {
  write_text(folder_ / "r.jsonl", "{\"body\": \"abcdef\"}\n{\"body\": \"ghij\"}\n");
  DataSpec spec;
  spec.train = {{folder_ / "r.jsonl", 1.0}};
  spec.text.field = "body";
  spec.val_fraction = 0.3;
  RunData data = load_run_data(spec, *byte_, 256, 2);
  EXPECT_EQ(text_of(data.train.parts[0].tokens, *byte_), "abcdefg");
  EXPECT_EQ(text_of(data.held_out.parts[0].tokens, *byte_), "hij");
  EXPECT_EQ(data.train.parts[0].tokens.documents(), 2);

  TokenFileWriter writer(folder_ / "d", TokenType::u8);
  writer.add(byte_->encode("0123456789"));
  writer.finish();
  for (const char* name : {"d", "d.bin", "d.idx"}) {
    data = load(name, 0.5);
    EXPECT_EQ(text_of(data.train.parts[0].tokens, *byte_), "01234");
    EXPECT_EQ(text_of(data.held_out.parts[0].tokens, *byte_), "56789");
  }
}

TEST_F(CorpusTest, TakesAWeightedListAndASeparateText) {
  write_text(folder_ / "a.txt", "aaaaaaaa");
  write_text(folder_ / "b.txt", "bbbbbbbb");
  write_text(folder_ / "v.txt", "vv");
  DataSpec spec;
  spec.train = {{folder_ / "a.txt", 3.0}, {folder_ / "b.txt", 1.0}};
  spec.val = folder_ / "v.txt";
  RunData data = load_run_data(spec, *byte_, 256, 2);
  EXPECT_EQ(data.train.parts.size(), 2U);
  EXPECT_EQ(data.train.parts[0].weight, 3.0);
  EXPECT_EQ(data.train.tokens(), 16);
  EXPECT_EQ(text_of(data.held_out.parts[0].tokens, *byte_), "vv");
  spec.val = "";
  spec.val_fraction = 0.25;
  data = load_run_data(spec, *byte_, 256, 2);
  EXPECT_EQ(data.held_out.parts.size(), 2U);
  EXPECT_EQ(text_of(data.held_out.parts[1].tokens, *byte_), "bb");
  const std::vector<int64_t> counts = token_counts(data.train);
  EXPECT_EQ(counts.size(), 256U);
  EXPECT_EQ(counts['a'], 6);
  EXPECT_EQ(counts['c'], 0);
}

TEST_F(CorpusTest, SaysWhatIsWrong) {
  write_text(folder_ / "a.txt", "abc");
  write_text(folder_ / "empty.txt", "");
  write_text(folder_ / "rows.jsonl", "{\"text\": \"a\"}\n{\"txt\": \"b\", \"n\": 1}\n");
  write_text(folder_ / "bad.jsonl", "{\"text\": \"a\"}\n\n{\"text\": \n");
  write_text(folder_ / "number.jsonl", "{\"text\": 5}\n");
  write_text(folder_ / "list.jsonl", "[1]\n");
  write_text(folder_ / "mixed/d.bin", "x");
  write_text(folder_ / "mixed/d.idx", "x");
  std::filesystem::create_directories(folder_ / "none");
  const auto refuses = [&](const std::string& words, const std::string& name,
                           double fraction = 0.0) {
    expect_error(ExitCode::data, words, [&] { load(name, fraction, 3); });
  };
  refuses("missing.txt: does not exist", "missing.txt");
  refuses("has 3 tokens to train on; one sample needs seq_len + 1 = 4", "a.txt");
  refuses("has 0 tokens to train on", "empty.txt");
  refuses("rows.jsonl:2: the row has no field \"text\"; its fields are: \"txt\", \"n\"",
          "rows.jsonl");
  refuses("bad.jsonl:3:10: the row is not valid JSON", "bad.jsonl");
  refuses("number.jsonl:1: the row has a number in field \"text\", not a text", "number.jsonl");
  refuses("list.jsonl:1: the row is not a JSON object but a list", "list.jsonl");
  refuses("the folder holds no files", "none");
  refuses("left out: 2 files of .bin/.idx pairs (d.bin, d.idx)", "mixed");
  write_text(folder_ / "long.txt", "abcdefghij");
  refuses("after val_fraction 0.9 is held out", "long.txt", 0.9);
  refuses("the held-out text has 1 tokens", "long.txt", 0.1);
  expect_error(ExitCode::data, "token 4 has id 101, outside the vocabulary [0, 101)",
               [&] { load("long.txt", 0.0, 2, 101); });
}

TEST_F(CorpusTest, CutsCompressedTextWhereTheTextIsCut) {
  const std::string text = test::noise(2'500'000) + "\xE2\x82\xAC" + test::noise(300'000);
  write_text(folder_ / "plain/a.txt", text.substr(0, 1'000'000));
  write_text(folder_ / "plain/b.txt", text.substr(1'000'000));
  write_text(folder_ / "packed/a.txt", test::xz(text.substr(0, 1'000'000)));
  write_text(folder_ / "packed/b.txt", test::gzip(text.substr(1'000'000)));
  for (const double fraction : {0.1, 0.107, 0.9}) {
    const RunData plain = load("plain", fraction);
    const RunData packed = load("packed", fraction);
    EXPECT_TRUE(text_of(plain.train.parts[0].tokens, *byte_) ==
                text_of(packed.train.parts[0].tokens, *byte_));
    EXPECT_TRUE(text_of(plain.held_out.parts[0].tokens, *byte_) ==
                text_of(packed.held_out.parts[0].tokens, *byte_));
    EXPECT_EQ(packed.train.tokens() + packed.held_out.tokens(), 2'800'003);
    EXPECT_NEAR(static_cast<double>(packed.held_out.tokens()), fraction * 2'800'003, 4);
  }
}

// n is what is trained on: with U+FFFD in the place of each invalid byte.
TEST_F(CorpusTest, CutsReplacedTextByWhatReplacesIt) {
  write_text(folder_ / "a.txt", std::string(499, 'a') + "\xFF\xFF\xFF" + std::string(492, 'b'));
  options_.invalid_utf8 = InvalidUtf8::replace;
  const RunData data = load("a.txt", 0.5);  // 1,000 bytes; byte 500 is inside a U+FFFD
  EXPECT_EQ(data.train.tokens(), 499);
  EXPECT_EQ(data.held_out.tokens(), 501);
}

TEST_F(CorpusTest, SaysHowFarACompressedFileIs) {
  const std::string packed = test::gzip(test::noise(12'000'000));
  write_text(folder_ / "a.gz", packed);
  DataSpec spec;
  spec.train = {{folder_ / "a.gz", 1.0}};
  std::vector<int64_t> seen;
  load_run_data(spec, *byte_, 256, 2, [&](const std::string&, int64_t done, int64_t total) {
    EXPECT_EQ(total, static_cast<int64_t>(packed.size()));
    EXPECT_LE(done, total);
    seen.push_back(done);
  });
  EXPECT_GE(seen.size(), 3U);
  EXPECT_TRUE(std::is_sorted(seen.begin(), seen.end()));
  EXPECT_EQ(seen.back(), static_cast<int64_t>(packed.size()));
}

// Whatever pieces a text comes in, its ids are those of the whole.
TEST_F(CorpusTest, EncodesACompressedTextAsAWhole) {
  std::string text;
  for (int64_t i = 0; text.size() < 9'000'000; ++i)
    text += "the cat " + std::to_string(i * 7919) + ".\n";
  write_text(folder_ / "a.zst", test::zstd(text));
  const Corpus corpus = load_corpus(folder_ / "a.zst", *bpe_, bpe_->vocab_size());
  std::vector<int32_t> ids(static_cast<size_t>(corpus.tokens()));
  corpus.parts[0].tokens.read(0, ids, corpus.vocab);
  EXPECT_TRUE(ids == bpe_->encode(text));
}

TEST_F(CorpusTest, RefusesTokensOfAnotherTokenizer) {
  TokenFileWriter writer(folder_ / "d", TokenType::u16);
  writer.add(bpe_->encode("some text of any kind"));
  TokenFileOrigin origin;
  origin.tokenizer = "small";
  origin.fingerprint = bpe_->fingerprint();
  writer.finish(origin);
  EXPECT_NO_THROW(load_corpus(folder_ / "d", *bpe_, bpe_->vocab_size()));
  expect_error(ExitCode::data, "was made with another tokenizer (small)",
               [&] { load_corpus(folder_ / "d", *byte_, 4096); });
  write_text(folder_ / "d.meta.json", "{}");
  expect_error(ExitCode::data, "d.meta.json: is damaged",
               [&] { load_corpus(folder_ / "d", *bpe_, 4096); });
}

}  // namespace
}  // namespace troupe
