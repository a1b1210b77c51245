#include "core/text/token_file.h"

#include <gtest/gtest.h>

#include <random>

#include "tests/core/text/fixtures.h"

namespace troupe {
namespace {

using test::expect_error;
using test::read_text;
using test::TemporaryDirectory;
using test::write_text;

// Two documents, [1, 2, 300] and [7], then an empty one; written out by hand from the description
// of the format, little-endian.
const std::string kIdx = std::string("MMIDIDX\0\0", 9) +
                         std::string("\1\0\0\0\0\0\0\0", 8) +  // version 1
                         std::string("\x08", 1) +              // u16
                         std::string("\2\0\0\0\0\0\0\0", 8) +  // 2 sequences
                         std::string("\4\0\0\0\0\0\0\0", 8) +  // 4 document entries
                         std::string("\3\0\0\0\1\0\0\0", 8) +  // lengths 3, 1
                         std::string("\0\0\0\0\0\0\0\0\6\0\0\0\0\0\0\0", 16) +  // offsets 0, 6
                         std::string("\0\0\0\0\0\0\0\0\1\0\0\0\0\0\0\0", 16) +  // documents 0, 1,
                         std::string("\2\0\0\0\0\0\0\0\2\0\0\0\0\0\0\0", 16);   // 2, 2
const std::string kBin = std::string("\1\0\2\0\x2c\1\7\0", 8);

TEST(TokenFile, WritesTheGoldenBytes) {
  const TemporaryDirectory folder;
  TokenFileWriter writer(folder / "d", TokenType::u16);
  writer.add(std::vector<int32_t>{1, 2});
  writer.add(std::vector<int32_t>{300});
  writer.end_document();
  writer.add(std::vector<int32_t>{7});
  writer.end_document();
  writer.end_document();
  writer.finish();
  EXPECT_EQ(read_text(folder / "d.idx"), kIdx);
  EXPECT_EQ(read_text(folder / "d.bin"), kBin);
  EXPECT_FALSE(std::filesystem::exists(folder / "d.bin.tmp"));
  EXPECT_FALSE(std::filesystem::exists(folder / "d.idx.tmp"));
}

TEST(TokenFile, ReadsTheGoldenBytes) {
  const TemporaryDirectory folder;
  write_text(folder / "d.idx", kIdx);
  write_text(folder / "d.bin", kBin);
  const TokenFile file = open_token_file(folder / "d");
  EXPECT_EQ(file.index.sequences, 2);
  EXPECT_EQ(file.index.documents, 3);
  EXPECT_EQ(file.index.document_starts, (std::vector<int64_t>{0, 3}));
  std::vector<int32_t> ids(4);
  file.tokens.read(0, ids, 301);
  EXPECT_EQ(ids, (std::vector<int32_t>{1, 2, 300, 7}));
  std::vector<int32_t> documents(4);
  file.tokens.read_documents(0, documents);
  EXPECT_EQ(documents, (std::vector<int32_t>{0, 0, 0, 1}));
  expect_error(ExitCode::data, "token 2 has id 300", [&] { file.tokens.check_ids(300); });
  // The modes of multimodal data: one byte a sequence more.
  write_text(folder / "d.idx", kIdx + std::string("\0\1", 2));
  EXPECT_EQ(open_token_file(folder / "d").index.tokens, 4);
}

TEST(TokenFile, NamesEachDamage) {
  const auto refuses = [](const std::string& words, const std::function<void(std::string&)>& change,
                          int64_t bin_bytes = 8) {
    std::string idx = kIdx;
    change(idx);
    expect_error(ExitCode::data, words, [&] { parse_token_index(idx, bin_bytes, "d.idx"); });
  };
  refuses("too few for a token index", [](std::string& i) { i.resize(33); });
  refuses("does not begin with MMIDIDX", [](std::string& i) { i[0] = 'X'; });
  refuses("format version 2", [](std::string& i) { i[9] = 2; });
  refuses("type code 9", [](std::string& i) { i[17] = 9; });
  refuses("type code 0", [](std::string& i) { i[17] = 0; });
  refuses("holds f32 values", [](std::string& i) { i[17] = 7; });
  refuses("truncated?", [](std::string& i) { i.resize(i.size() - 1); });
  refuses("truncated?", [](std::string& i) { i[25] = '\x7f'; });
  refuses("truncated?", [](std::string& i) { i[33] = '\xff'; });
  refuses("bytes more", [](std::string& i) { i += "x"; });
  refuses("length -1", [](std::string& i) { i.replace(38, 4, 4, '\xff'); });
  refuses("begins at byte 7, expected 6", [](std::string& i) { i[50] = 7; });
  refuses("begins with 1, not 0", [](std::string& i) { i[58] = 1; });
  refuses("is 0, less than the one before", [](std::string& i) { i[74] = 0; });
  refuses("beyond the 2 sequences", [](std::string& i) { i[82] = 3; });
  refuses("ends with 1", [](std::string& i) { i[74] = 1, i[82] = 1; });
  refuses(
      "the .bin file has 6 bytes, not 8", [](std::string&) {}, 6);
  refuses("the .bin file has 8 bytes, not 4", [](std::string& i) {
    i[17] = 1;
    i[50] = 3;
  });
}

TEST(TokenFile, NamesAMissingHalf) {
  const TemporaryDirectory folder;
  write_text(folder / "d.idx", kIdx);
  EXPECT_TRUE(is_token_file(folder / "d"));
  EXPECT_FALSE(is_token_file(folder / "e"));
  expect_error(ExitCode::data, "d.bin: cannot be opened", [&] { open_token_file(folder / "d"); });
}

TEST(TokenFile, RoundTripsRandomDocuments) {
  std::mt19937 random(3);
  for (const TokenType type : {TokenType::u8, TokenType::u16, TokenType::i32}) {
    const TemporaryDirectory folder;
    const uint32_t limit = type == TokenType::u8    ? 256U
                           : type == TokenType::u16 ? 65536U
                                                    : 4000000U;
    std::vector<int32_t> all;
    std::vector<int64_t> starts;
    TokenFileWriter writer(folder / "d", type);
    for (int d = 0; d < 200; ++d) {
      std::vector<int32_t> ids(random() % 40);
      for (int32_t& id : ids) id = static_cast<int32_t>(random() % limit);
      if (!ids.empty()) starts.push_back(static_cast<int64_t>(all.size()));
      all.insert(all.end(), ids.begin(), ids.end());
      writer.add(ids);
      writer.end_document();
    }
    TokenFileOrigin origin;
    origin.tokenizer = "byte";
    origin.fingerprint = 0xfedcba9876543210ULL;
    writer.finish(origin);
    const TokenFile file = open_token_file(folder / "d");
    EXPECT_EQ(file.index.documents, 200);
    EXPECT_EQ(file.index.document_starts, starts);
    std::vector<int32_t> back(all.size());
    file.tokens.read(0, back, limit);
    EXPECT_EQ(back, all);
    const auto read = read_token_file_origin(folder / "d");
    ASSERT_TRUE(read.has_value());
    EXPECT_EQ(read->fingerprint, origin.fingerprint);
    EXPECT_EQ(read->tokens, static_cast<int64_t>(all.size()));
  }
}

TEST(TokenFile, AnUnfinishedWriterLeavesNothing) {
  const TemporaryDirectory folder;
  write_text(folder / "d.idx", kIdx);
  write_text(folder / "d.bin", kBin);
  {
    TokenFileWriter writer(folder / "d", TokenType::u16);
    writer.add(std::vector<int32_t>{1});
    expect_error(ExitCode::resource, "another process is writing it",
                 [&] { TokenFileWriter(folder / "d", TokenType::u16); });
  }
  EXPECT_EQ(read_text(folder / "d.bin"), kBin);
  EXPECT_EQ(open_token_file(folder / "d").index.tokens, 4);
  EXPECT_FALSE(std::filesystem::exists(folder / "d.bin.tmp"));
  expect_error(ExitCode::resource, "cannot be written",
               [&] { TokenFileWriter(folder / "no/such/d", TokenType::u16); });
}

TEST(TokenStream, ReadsAllTypesAndSlices) {
  for (const int64_t vocab : {256, 65536, 1 << 20}) {
    TokenBuilder builder(vocab);
    builder.add(std::vector<int32_t>{1, 2, 3});
    builder.start_document();
    builder.start_document();
    builder.add(std::vector<int32_t>{static_cast<int32_t>(vocab) - 1, 5});
    const TokenStream stream = builder.finish("memory");
    EXPECT_EQ(stream.documents(), 2);
    const TokenStream slice = stream.slice(2, 3);
    EXPECT_EQ(slice.documents(), 2);
    EXPECT_EQ(slice.document_starts()[1], 1);
    std::vector<int32_t> ids(3);
    slice.read(0, ids, vocab);
    EXPECT_EQ(ids, (std::vector<int32_t>{3, static_cast<int32_t>(vocab) - 1, 5}));
    EXPECT_EQ(stream.slice(3, 2).documents(), 1);
    EXPECT_EQ(stream.slice(5, 0).documents(), 0);
  }
  const int64_t wide[2] = {4, int64_t{1} << 40};
  const TokenStream stream(nullptr, reinterpret_cast<const std::byte*>(wide), TokenType::i64, 2,
                           {0}, "w");
  std::vector<int32_t> ids(1);
  stream.read(0, ids, 5);
  EXPECT_EQ(ids[0], 4);
  expect_error(ExitCode::data, "token 1 has id -1", [&] { stream.read(1, ids, 5); });
}

}  // namespace
}  // namespace troupe
