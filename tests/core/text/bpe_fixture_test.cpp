// Exactness: texts of other projects with the ids that they expect, and ids of an independent
// encoder (data/make_small_json.py).
#include <gtest/gtest.h>

#include <chrono>
#include <nlohmann/json.hpp>

#include "core/text/bpe_files.h"
#include "core/text/tokenizer.h"
#include "tests/core/text/fixtures.h"

namespace troupe {
namespace {

using test::data_path;
using test::read_text;

std::vector<std::string> lines_of(const std::string& text) {
  std::vector<std::string> lines;
  std::istringstream stream(text);
  for (std::string line; std::getline(stream, line);) lines.push_back(line);
  return lines;
}

// Checks encode and decode of every {text, ids} row; returns the number of rows.
int check_pairs(const Tokenizer& tokenizer, const std::string& path) {
  int rows = 0;
  for (const std::string& line : lines_of(read_text(path))) {
    const auto row = nlohmann::json::parse(line);
    const auto text = row.at("text").get<std::string>();
    const auto ids = row.at("ids").get<std::vector<int32_t>>();
    EXPECT_EQ(tokenizer.encode(text), ids) << text;
    EXPECT_EQ(tokenizer.decode(ids), text);
    ++rows;
  }
  return rows;
}

class Gpt2 : public testing::Test {
 protected:
  static void SetUpTestSuite() { tokenizer_ = load_tokenizer(data_path("gpt2")).release(); }
  static void TearDownTestSuite() { delete tokenizer_; }
  static const Tokenizer* tokenizer_;
};
const Tokenizer* Gpt2::tokenizer_ = nullptr;

TEST_F(Gpt2, HasItsVocabulary) {
  EXPECT_EQ(tokenizer_->vocab_size(), 50257);
  EXPECT_EQ(tokenizer_->end_of_text(), 50256);
  EXPECT_TRUE(tokenizer_->is_special(50256));
  EXPECT_FALSE(tokenizer_->is_special(50255));
  EXPECT_EQ(tokenizer_->id_to_bytes(262), " the");
  EXPECT_EQ(tokenizer_->encode("a<|endoftext|>b"), (std::vector<int32_t>{64, 50256, 65}));
}

TEST_F(Gpt2, NamesTheFilesItWasReadFrom) {
  EXPECT_EQ(tokenizer_->files(), (std::vector<std::string>{data_path("gpt2/encoder.json"),
                                                           data_path("gpt2/merges.txt")}));
  const std::string json = data_path("small_json/gpt2.json");
  EXPECT_EQ(load_tokenizer(json)->files(), std::vector<std::string>{json});
  EXPECT_TRUE(load_tokenizer("byte")->files().empty());
}

TEST_F(Gpt2, ReproducesThePairs) {
  EXPECT_EQ(check_pairs(*tokenizer_, data_path("gpt2/pairs.jsonl")), 111);
}

TEST_F(Gpt2, ReproducesTheGgufStrings) {
  const std::string separator = "\n__ggml_vocab_test__\n";
  std::string text = read_text(data_path("gpt2/ggml-vocab.inp"));
  const std::vector<std::string> expected = lines_of(read_text(data_path("gpt2/ggml-vocab.out")));
  ASSERT_EQ(expected.size(), 46U);
  for (const std::string& line : expected) {
    const size_t end = std::min(text.find(separator), text.size());
    std::string ids;
    for (const int32_t id : tokenizer_->encode(text.substr(0, end)))
      ids.append(" ").append(std::to_string(id));
    EXPECT_EQ(ids, line) << text.substr(0, end);
    text.erase(0, end + separator.size());
  }
}

TEST_F(Gpt2, ReproducesTheTestPlans) {
  std::string text = read_text(data_path("gpt2/test-plans-r50k.txt"));
  int records = 0;
  while (text.starts_with("EncodingName: r50k_base\nSample: ")) {
    const size_t sample = text.find("Sample: ") + 8;
    const size_t encoded = text.find("\nEncoded: ", sample);
    ASSERT_NE(encoded, std::string::npos);
    const size_t end = text.find('\n', encoded + 1);
    const auto ids = nlohmann::json::parse(text.substr(encoded + 10, end - encoded - 10));
    EXPECT_EQ(tokenizer_->encode(text.substr(sample, encoded - sample)),
              ids.get<std::vector<int32_t>>());
    ++records;
    text.erase(0, std::min(text.find("EncodingName", end), text.size()));
  }
  EXPECT_EQ(records, 64);
}

TEST_F(Gpt2, AcceptsAVersionLineAndWindowsLineEnds) {
  std::string merges = "#version: 0.2\r\n";
  for (const std::string& line : lines_of(read_text(data_path("gpt2/merges.txt"))))
    merges += line + "\r\n";
  const auto other =
      parse_gpt2_files(read_text(data_path("gpt2/encoder.json")), merges, "vocab", "merges");
  EXPECT_EQ(other->fingerprint(), tokenizer_->fingerprint());
  EXPECT_EQ(other->encode("# ## ### version"), tokenizer_->encode("# ## ### version"));
}

TEST_F(Gpt2, KeepsBytesThatAreNoUtf8) {
  for (const std::string text :
       {"a\xff\xfe z", "\xC3", "\xE2\x82 \xE2\x82\xAC\xED\xA0\x80", "\x80\x80\x80zz"}) {
    EXPECT_EQ(tokenizer_->decode(tokenizer_->encode(text)), text);
  }
}

// A loop that is quadratic in the length of a run would not end within the time limit.
TEST_F(Gpt2, TakesLongRunsOfOneCharacter) {
  for (const char* unit : {"a", " ", "\n", "=", "1", "\xC3\xA9", "\xFF", "\xE3\x80\x80"}) {
    std::string text;
    while (text.size() < 1'000'000) text += unit;
    EXPECT_EQ(tokenizer_->decode(tokenizer_->encode(text)), text);
  }
}

// No bound: a figure for the log.
TEST_F(Gpt2, PrintsItsSpeed) {
  const std::string text =
      read_text(std::string(TROUPE_SOURCE_DIR) + "/configs/text/tinyshakespeare.txt");
  const auto start = std::chrono::steady_clock::now();
  const size_t count = tokenizer_->encode(text).size();
  const double seconds =
      std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  const double rate = static_cast<double>(text.size()) / 1e6 / seconds;
  std::printf("GPT-2 BPE: %.1f MB/s (%zu bytes, %zu tokens)\n", rate, text.size(), count);
  RecordProperty("mb_per_s", std::to_string(rate));
  EXPECT_GT(count, 0U);
}

TEST(TokenizerJson, ReproducesTheIndependentEncoder) {
  for (const std::string name : {"gpt2", "cl100k"}) {
    const auto tokenizer = load_tokenizer(data_path("small_json/" + name + ".json"));
    EXPECT_GT(check_pairs(*tokenizer, data_path("small_json/" + name + ".pairs.jsonl")), 400);
    EXPECT_TRUE(tokenizer->is_special(*tokenizer->end_of_text()));
  }
}

TEST(TokenizerJson, AddsTokensBeyondTheVocabulary) {
  const auto tokenizer = load_tokenizer(data_path("small_json/gpt2.json"));
  EXPECT_EQ(tokenizer->vocab_size(), 1301);
  EXPECT_EQ(tokenizer->encode("<user><|endoftext|>"), (std::vector<int32_t>{1300, 1256}));
  EXPECT_EQ(tokenizer->id_to_bytes(1299), "");
  EXPECT_EQ(tokenizer->id_to_bytes(1300), "<user>");
  EXPECT_FALSE(tokenizer->is_special(1300));
}

}  // namespace
}  // namespace troupe
