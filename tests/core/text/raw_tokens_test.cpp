// Ids without an index, as llm.c and nanoGPT write them, become pairs.
#include "core/text/raw_tokens.h"

#include <gtest/gtest.h>
#include <sys/stat.h>

#include <cstring>

#include "core/text/corpus.h"
#include "core/text/token_build.h"
#include "tests/core/text/fixtures.h"

namespace troupe {
namespace {

using test::data_path;
using test::expect_error;

template <typename T>
std::string bytes_of(const std::vector<T>& values) {
  std::string out(values.size() * sizeof(T), '\0');
  std::memcpy(out.data(), values.data(), out.size());
  return out;
}

// The header of llm.c, then the ids.
template <typename T>
std::string llm_c(int32_t magic, int32_t version, const std::vector<T>& ids) {
  std::vector<int32_t> header(256, 0);
  header[0] = magic;
  header[1] = version;
  header[2] = static_cast<int32_t>(ids.size());
  return bytes_of(header) + bytes_of(ids);
}

class RawTokens : public testing::Test {
 protected:
  void write(const std::string& name, const std::string& bytes) const {
    test::write_text(folder_ / name, bytes);
  }
  BuildResult build(const std::vector<std::string>& names, std::optional<RawType> raw,
                    const Tokenizer* tokenizer) const {
    BuildRequest request;
    for (const std::string& name : names) request.inputs.push_back(folder_ / name);
    request.tokenizer_name = "named";
    request.prefix = folder_ / "pair";
    return build_from_raw(request, raw, tokenizer,
                          [](int64_t done, int64_t total) { EXPECT_LE(done, total); });
  }
  // The documents of the pair that was built.
  std::vector<std::vector<int32_t>> documents() const {
    const TokenFile file = open_token_file(folder_ / "pair");
    std::vector<int32_t> ids(static_cast<size_t>(file.tokens.size()));
    std::vector<int32_t> numbers(ids.size());
    file.tokens.read(0, ids, int64_t{1} << 28);
    file.tokens.read_documents(0, numbers);
    std::vector<std::vector<int32_t>> out(static_cast<size_t>(file.tokens.documents()));
    for (size_t i = 0; i < ids.size(); ++i) out[static_cast<size_t>(numbers[i])].push_back(ids[i]);
    return out;
  }

  const test::TemporaryDirectory folder_;
  const std::unique_ptr<Tokenizer> tokenizer_ = load_tokenizer(data_path("small_json/gpt2.json"));
  const int32_t end_ = *tokenizer_->end_of_text();
};

using Documents = std::vector<std::vector<int32_t>>;

TEST_F(RawTokens, LlmCsFilesKnowThemselves) {
  const auto end = static_cast<uint16_t>(end_);
  // llm.c writes the end-of-text token before each document.
  write("a.bin", llm_c<uint16_t>(20240520, 1, {end, 5, 6, end, 7, end, 8, 9}));
  write("b.bin", llm_c<uint16_t>(20240520, 1, {end, 10}));
  EXPECT_TRUE(is_llm_c_file(folder_ / "a.bin"));
  const BuildResult result = build({"a.bin", "b.bin"}, std::nullopt, tokenizer_.get());
  EXPECT_EQ(result.tokens, 10);
  EXPECT_EQ(result.documents, 4);
  EXPECT_EQ(result.type, TokenType::u16);
  EXPECT_EQ(documents(), (Documents{{end_, 5, 6, end_}, {7, end_}, {8, 9}, {end_, 10}}));
  EXPECT_EQ(read_token_file_origin(folder_ / "pair")->fingerprint, tokenizer_->fingerprint());
  EXPECT_EQ(verify_token_file(folder_ / "pair", tokenizer_.get()).largest_id, end_);
}

TEST_F(RawTokens, BareIdsOfTwoAndFourBytes) {
  const auto end = static_cast<uint16_t>(end_);
  // nanoGPT writes it behind each document.
  write("a.bin", bytes_of<uint16_t>({5, 6, end, end, 7, end}));
  build({"a.bin"}, RawType::u16, tokenizer_.get());
  EXPECT_EQ(documents(), (Documents{{5, 6, end_}, {end_, 7, end_}}));
  write("b.bin", bytes_of<uint32_t>({5, 70000, 6}));
  const BuildResult wide = build({"b.bin", "b.bin"}, RawType::u32, nullptr);
  EXPECT_EQ(wide.type, TokenType::i32);
  EXPECT_EQ(documents(), (Documents{{5, 70000, 6}, {5, 70000, 6}}));
  EXPECT_FALSE(read_token_file_origin(folder_ / "pair").has_value());
  write("c.bin", llm_c<uint32_t>(20240801, 7, {128000, 3}));
  build({"c.bin"}, std::nullopt, nullptr);
  EXPECT_EQ(documents(), (Documents{{128000, 3}}));
  write("long.bin", bytes_of(std::vector<uint16_t>(200'000, 1000)));
  EXPECT_EQ(build({"long.bin"}, RawType::u16, nullptr).tokens, 200'000);
}

TEST_F(RawTokens, WhatIsWrongIsSaid) {
  const auto refused = [&](const std::string& bytes, std::optional<RawType> raw,
                           const std::string& words, bool named = true) {
    write("x.bin", bytes);
    expect_error(ExitCode::data, words,
                 [&] { build({"x.bin"}, raw, named ? tokenizer_.get() : nullptr); });
  };
  const std::string good = llm_c<uint16_t>(20240520, 1, {5, 6});
  refused(good.substr(0, good.size() - 2), std::nullopt, "says 2 tokens, the file holds 1");
  refused(good + "xx", std::nullopt, "says 2 tokens, the file holds 3");
  refused(good.substr(0, 500), std::nullopt, "the file holds 0");
  refused(llm_c<uint16_t>(20240520, 9, {5}), std::nullopt, "of version 9; version 1 can be read");
  refused(bytes_of<uint16_t>({1, 2, 3}), std::nullopt, "say what they are, u16 or u32");
  refused("abc", RawType::u16, "no whole number of ids of 2 bytes");
  refused("abcdef", RawType::u32, "no whole number of ids of 4 bytes");
  refused(bytes_of<uint16_t>({5, 1301}), RawType::u16,
          "token 1 has id 1301, outside the vocabulary");
  refused(bytes_of<uint32_t>({5, 0xffffffff}), RawType::u32, "token 1 has id", false);
  refused(bytes_of(std::vector<uint32_t>(100, 777)), RawType::u16, "say u32");
  for (const RawType type : {RawType::u16, RawType::u32}) {
    refused(bytes_of(std::vector<uint64_t>(100, 777)), type, "every id has 8 bytes", false);
    refused(bytes_of(std::vector<uint64_t>(100, 128000)), type, "every id has 8 bytes", false);
    refused("\x1F\x8B\x08\0" + std::string(60, '\1'), type, "is compressed (gzip)", false);
    refused("PK\3\4" + std::string(60, '\1'), type, "is a zip archive", false);
    refused("MMIDIDX" + std::string(61, '\1'), type, "is the index of a .bin/.idx pair", false);
  }
  refused(good + "x", std::nullopt, "the file holds 2 (in 1029 bytes)");
  refused(std::string(200, 'a'), RawType::u16, "is text, not token ids");
  refused(std::string("\x93NUMPY\x01\0", 8), RawType::u16, "is a NumPy file");
  refused("", RawType::u16, "hold no tokens");
  EXPECT_FALSE(is_llm_c_file(folder_ / "none"));
  ASSERT_EQ(::mkfifo((folder_ / "pipe").c_str(), 0600), 0);
  EXPECT_FALSE(is_llm_c_file(folder_ / "pipe"));  // and nobody waits for a writer
}

// Given as data they have no index: the message says what makes one.
TEST_F(RawTokens, AsDataTheyNeedAPair) {
  write("train.bin", llm_c<uint16_t>(20240520, 1, {5, 6}));
  write("bare.bin", bytes_of<uint16_t>({5, 6}));
  for (const char* name : {"train.bin", "train", "bare.bin"}) {
    expect_error(ExitCode::data, "data build",
                 [&] { load_corpus(folder_ / name, *tokenizer_, tokenizer_->vocab_size()); });
  }
}

}  // namespace
}  // namespace troupe
