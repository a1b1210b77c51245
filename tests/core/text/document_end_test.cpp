// What stands behind rows and files: the end-of-text token, a separator, nothing.
#include "core/text/document_end.h"

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "core/text/held_out.h"
#include "core/text/token_build.h"
#include "tests/core/text/fixtures.h"

namespace troupe {
namespace {

using nlohmann::json;
using test::data_path;
using test::expect_error;
using test::read_text;
using test::TemporaryDirectory;
using test::write_text;

class DocumentEndTest : public testing::Test {
 protected:
  void SetUp() override {
    write_text(folder_ / "r.jsonl",
               "{\"text\": \"abcd\"}\n{\"text\": \"efgh\"}\n{\"text\": \"ij\"}\n");
  }
  RunData load(const std::string& separator, double fraction, const Tokenizer& tokenizer) {
    DataSpec spec;
    spec.train = {{folder_ / "r.jsonl", 1.0}};
    spec.val_fraction = fraction;
    spec.separator = separator;
    return load_run_data(spec, tokenizer, tokenizer.vocab_size(), 2);
  }
  BuildResult build(const std::vector<std::string>& inputs, const std::string& separator,
                    const Tokenizer& tokenizer) {
    BuildRequest request;
    for (const std::string& input : inputs) request.inputs.push_back(folder_ / input);
    request.tokenizer_name = "byte";
    request.separator = separator;
    request.prefix = folder_ / "d";
    return build_token_file(request, tokenizer, [](int64_t, int64_t) {});
  }
  std::string text_of(const TokenStream& tokens) {
    std::vector<int32_t> ids(static_cast<size_t>(tokens.size()));
    tokens.read(0, ids, 256);
    return byte_->decode(ids);
  }
  // '1' for each token of a separator.
  static std::string separators_of(const TokenStream& tokens) {
    std::vector<uint8_t> marks(static_cast<size_t>(tokens.size()));
    tokens.read_endings(0, marks);
    std::string shown;
    for (const uint8_t mark : marks) shown += mark == 1 ? '1' : '0';
    return shown;
  }
  TemporaryDirectory folder_;
  const std::unique_ptr<Tokenizer> byte_ = load_tokenizer("byte");
  const std::unique_ptr<Tokenizer> bpe_ = load_tokenizer(data_path("small_json/gpt2.json"));
};

TEST_F(DocumentEndTest, NothingIsSaidWhereRowsAreJoined) {
  const RunData data = load("", 0.0, *byte_);
  EXPECT_EQ(text_of(data.train.parts[0].tokens), "abcdefghij");
  EXPECT_EQ(data.joined, 3);
  const std::string words = joined_documents(*byte_, "", data.joined);
  EXPECT_NE(words.find("3 documents"), std::string::npos);
  EXPECT_NE(words.find("separator"), std::string::npos);
  EXPECT_NE(words.find("end_of_text"), std::string::npos);
  EXPECT_EQ(joined_documents(*byte_, "\n", 3), "");
  EXPECT_EQ(joined_documents(*byte_, "", 1), "");
  EXPECT_EQ(load("", 0.0, *bpe_).joined, 0);
}

TEST_F(DocumentEndTest, ASeparatorBelongsToTheRowBeforeItAndIsNoByteOfText) {
  const RunData data = load("\r\n", 0.5, *byte_);
  EXPECT_EQ(data.joined, 0);
  const TokenStream& train = data.train.parts[0].tokens;
  const TokenStream& held_out = data.held_out.parts[0].tokens;
  EXPECT_EQ(text_of(train), "abcd\r\nef");
  EXPECT_EQ(separators_of(train), "00001100");
  EXPECT_EQ(text_of(held_out), "gh\r\nij\r\n");
  EXPECT_EQ(separators_of(held_out), "00110011");
  EXPECT_EQ(train.documents(), 2);
  // Seven predictions, four of them of separators.
  const HeldOut windows(data.held_out, 3);
  EXPECT_EQ(windows.predictions(), 7);
  EXPECT_EQ(windows.target_bytes(*byte_), 3);
}

TEST_F(DocumentEndTest, ASeparatorMayBeCutInTwo) {
  const TokenStream all = load("\r\n", 0.0, *byte_).train.parts[0].tokens;
  EXPECT_EQ(separators_of(all), "0000110000110011");
  EXPECT_EQ(separators_of(all.slice(5, 6)), "100001");
  EXPECT_EQ(separators_of(all.slice(5, 6).slice(1, 5)), "00001");
}

TEST_F(DocumentEndTest, BuiltPairsKnowTheirSeparators) {
  write_text(folder_ / "a.txt", "a line\n");
  const BuildResult built = build({"a.txt", "r.jsonl"}, "\n", *byte_);
  EXPECT_EQ(built.joined, 0);
  const json meta = json::parse(read_text(folder_ / "d.meta.json"));
  EXPECT_EQ(meta["end_of_text"], "none");
  EXPECT_EQ(meta["separator"], "\n");
  EXPECT_EQ(meta["unmarked"], json::array({0}));
  const Corpus corpus = load_corpus(folder_ / "d", *byte_, 256);
  EXPECT_EQ(text_of(corpus.parts[0].tokens), "a line\nabcd\nefgh\nij\n");
  EXPECT_EQ(separators_of(corpus.parts[0].tokens), "00000000000100001001");
  EXPECT_EQ(HeldOut(corpus, 4).target_bytes(*byte_), 16);  // 17 bytes, the first is not predicted
}

TEST_F(DocumentEndTest, BuiltPairsKnowTheirEndOfText) {
  build({"r.jsonl"}, "", *bpe_);
  EXPECT_EQ(json::parse(read_text(folder_ / "d.meta.json"))["end_of_text"], "<|endoftext|>");
  const auto without = load_tokenizer(data_path("small_json/gpt2.json"), {"none"});
  EXPECT_NO_THROW(load_corpus(folder_ / "d", *bpe_, 4096));
  expect_error(ExitCode::data, "end_of_text", [&] { load_corpus(folder_ / "d", *without, 4096); });
}

TEST_F(DocumentEndTest, ASeparatorBesideAnEndOfTextIsRefused) {
  expect_error(ExitCode::usage, "separator is \"\\n\", but the tokenizer ends documents with",
               [&] { load("\n", 0.0, *bpe_); });
  const auto without = load_tokenizer(data_path("small_json/gpt2.json"), {"none"});
  EXPECT_EQ(load("\n", 0.0, *without).train.parts[0].tokens.documents(), 3);
}

}  // namespace
}  // namespace troupe
