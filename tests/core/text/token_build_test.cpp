#include "core/text/token_build.h"

#include <gtest/gtest.h>

#include <fstream>

#include "tests/core/text/fixtures.h"

namespace troupe {
namespace {

using test::data_path;
using test::expect_error;
using test::read_text;
using test::TemporaryDirectory;
using test::write_text;

class TokenBuildTest : public testing::Test {
 protected:
  BuildResult build(const std::vector<std::string>& inputs, const Tokenizer& tokenizer,
                    const std::string& out = "out/d") {
    BuildRequest request;
    for (const std::string& input : inputs) request.inputs.push_back(folder_ / input);
    request.tokenizer_name = "named";
    request.prefix = folder_ / out;
    return build_token_file(request, tokenizer, [&](int64_t done, int64_t total) {
      EXPECT_GE(done, last_done_);
      EXPECT_LE(done, total);
      last_done_ = done;
      total_ = total;
    });
  }
  std::string text_of(const Tokenizer& tokenizer) {
    const TokenStream tokens = open_token_file(folder_ / "out/d").tokens;
    std::vector<int32_t> ids(static_cast<size_t>(tokens.size()));
    tokens.read(0, ids, tokenizer.vocab_size());
    return tokenizer.decode(ids);
  }
  const TemporaryDirectory folder_;
  const std::unique_ptr<Tokenizer> byte_ = load_tokenizer("byte");
  const std::unique_ptr<Tokenizer> bpe_ = load_tokenizer(data_path("small_json/cl100k.json"));
  int64_t last_done_ = 0;
  int64_t total_ = 0;
};

TEST_F(TokenBuildTest, RoundTripsTextRowsAndFolders) {
  write_text(folder_ / "a.txt", "alpha and\nbeta");
  write_text(folder_ / "r.jsonl", "{\"text\": \"row \\u00e9\"}\n{\"text\": \"\"}\n");
  write_text(folder_ / "t/x.txt", "in x");
  write_text(folder_ / "t/y.txt", "in y");
  const BuildResult bytes = build({"a.txt", "r.jsonl", "t"}, *byte_);
  EXPECT_EQ(text_of(*byte_), "alpha and\nbetarow \xC3\xA9in xin y");
  EXPECT_EQ(bytes.documents, 4);
  EXPECT_EQ(bytes.empty, 1);
  EXPECT_EQ(bytes.tokens, 28);
  EXPECT_EQ(bytes.type, TokenType::u8);
  EXPECT_EQ(last_done_, total_);
  last_done_ = 0;
  const BuildResult merged = build({"a.txt", "r.jsonl", "t"}, *bpe_);  // replaces the pair
  EXPECT_EQ(text_of(*bpe_),
            "alpha and\nbetarow \xC3\xA9<|endoftext|>in x<|endoftext|>in y<|endoftext|>");
  EXPECT_EQ(merged.type, TokenType::u16);
  const VerifyResult verified = verify_token_file(folder_ / "out/d", bpe_.get());
  EXPECT_EQ(verified.index.documents, 4);
  EXPECT_EQ(verified.largest_id, 2000);
  EXPECT_EQ(verified.vocab, 2002);
  EXPECT_TRUE(verified.hash_checked);
}

TEST_F(TokenBuildTest, LeavesOtherFilesAlone) {
  write_text(folder_ / "a.txt", "alpha");
  for (const std::string name : {"out/d.bin", "out/d.idx", "out/d.meta.json"}) {
    write_text(folder_ / name, "precious");
    expect_error(ExitCode::usage, "does not belong to a token file",
                 [&] { build({"a.txt"}, *byte_); });
    EXPECT_EQ(read_text(folder_ / name), "precious");
    std::filesystem::remove_all(folder_ / "out");
  }
  std::filesystem::create_directories(folder_ / "out");
  expect_error(ExitCode::usage, "not the prefix of a file",
               [&] { build({"a.txt"}, *byte_, "out"); });
  expect_error(ExitCode::usage, "not the prefix of a file",
               [&] { build({"a.txt"}, *byte_, "out/"); });
}

TEST_F(TokenBuildTest, RemovesAndNamesWhatAStoppedBuildLeft) {
  write_text(folder_ / "a.txt", "alpha");
  write_text(folder_ / "out/d.bin.tmp", "half of it");
  write_text(folder_ / "out/d.idx.tmp", "half");
  write_text(folder_ / "out/e.bin.tmp", "of another name");
  const std::vector<std::string> left{folder_ / "out/d.bin.tmp", folder_ / "out/d.idx.tmp"};
  EXPECT_EQ(build({"a.txt"}, *byte_).removed, left);
  EXPECT_EQ(text_of(*byte_), "alpha");
  for (const std::string& path : left) EXPECT_FALSE(std::filesystem::exists(path));
  EXPECT_EQ(read_text(folder_ / "out/e.bin.tmp"), "of another name");
  last_done_ = 0;
  EXPECT_TRUE(build({"a.txt"}, *byte_).removed.empty());

  // Ended when the first of its files was in place: not a file of somebody else.
  std::filesystem::rename(folder_ / "out/d.idx", folder_ / "out/d.idx.tmp");
  last_done_ = 0;
  EXPECT_EQ(build({"a.txt"}, *byte_).removed.size(), 1U);
  EXPECT_EQ(text_of(*byte_), "alpha");

  // Also where the next build fails.
  write_text(folder_ / "out/d.bin.tmp", "half of it");
  write_text(folder_ / "bad.jsonl", "no row");
  EXPECT_ANY_THROW(build({"bad.jsonl"}, *byte_));
  EXPECT_FALSE(std::filesystem::exists(folder_ / "out/d.bin.tmp"));
}

TEST_F(TokenBuildTest, LeavesNothingWhenItFails) {
  write_text(folder_ / "empty.txt", "");
  write_text(folder_ / "r.jsonl", "{\"text\": \"good\"}\nbad\n");
  expect_error(ExitCode::data, "hold no text", [&] { build({"empty.txt"}, *byte_); });
  expect_error(ExitCode::data, "r.jsonl:2", [&] { build({"r.jsonl"}, *byte_); });
  expect_error(ExitCode::data, "does not exist", [&] { build({"none.txt"}, *byte_); });
  expect_error(ExitCode::data, "cannot be reached: File name too long",
               [&] { build({std::string(300, 'a')}, *byte_); });
  EXPECT_TRUE(std::filesystem::is_empty(folder_ / "out"));
  write_text(folder_ / "file", "x");
  write_text(folder_ / "a.txt", "x");
  expect_error(ExitCode::resource, "cannot be made", [&] { build({"a.txt"}, *byte_, "file/d"); });
}

TEST_F(TokenBuildTest, VerifyFindsEveryChangedByte) {
  write_text(folder_ / "a.txt", "alpha beta");
  build({"a.txt"}, *byte_);
  for (const char* name : {"out/d.bin", "out/d.idx"}) {
    const std::string good = read_text(folder_ / name);
    for (size_t i = 0; i < good.size(); ++i) {
      std::string bad = good;
      bad[i] = static_cast<char>(bad[i] ^ 0x20);
      write_text(folder_ / name, bad);
      EXPECT_THROW(verify_token_file(folder_ / "out/d", nullptr), Error) << name << " byte " << i;
    }
    write_text(folder_ / name, good);
  }
  expect_error(ExitCode::data, "another tokenizer (named)",
               [&] { verify_token_file(folder_ / "out/d", bpe_.get()); });
  EXPECT_EQ(verify_token_file(folder_ / "out/d", nullptr).vocab, 256);
  std::filesystem::remove(folder_ / "out/d.meta.json");
  EXPECT_EQ(verify_token_file(folder_ / "out/d", nullptr).vocab, 0);
}

}  // namespace
}  // namespace troupe
