#include "core/text/tokenizer.h"

#include <gtest/gtest.h>

#include "core/text/byte_alphabet.h"
#include "core/text/utf8.h"
#include "tests/core/text/fixtures.h"

namespace troupe {
namespace {

using test::expect_error;
using test::TemporaryDirectory;
using test::write_text;

TEST(ByteTokenizer, HasOneIdPerByte) {
  const auto tokenizer = load_tokenizer("byte");
  EXPECT_EQ(tokenizer->vocab_size(), 256);
  EXPECT_EQ(tokenizer->encode(std::string_view("a\0\xff", 3)), (std::vector<int32_t>{97, 0, 255}));
  std::string all;
  for (int i = 0; i < 256; ++i) all.push_back(static_cast<char>(i));
  EXPECT_EQ(tokenizer->decode(tokenizer->encode(all)), all);
  EXPECT_FALSE(tokenizer->end_of_text().has_value());
}

TEST(LoadTokenizer, NamesWhatIsMissing) {
  const TemporaryDirectory folder;
  expect_error(ExitCode::data, "does not exist", [&] { load_tokenizer(folder / "none"); });
  expect_error(ExitCode::data, "does not exist", [&] { load_tokenizer("bytes"); });
  expect_error(ExitCode::data, "cannot be reached: File name too long",
               [&] { load_tokenizer(std::string(300, 'a')); });
  expect_error(ExitCode::data, "holds no tokenizer", [&] { load_tokenizer(folder.path()); });
  write_text(folder / "vocab.json", "{}");
  expect_error(ExitCode::data, "merges.txt (or vocab.bpe) is missing",
               [&] { load_tokenizer(folder.path()); });
  write_text(folder / "some.txt", "text");
  expect_error(ExitCode::data, "neither a folder nor a .json",
               [&] { load_tokenizer(folder / "some.txt"); });
}

TEST(ByteAlphabet, IsGpt2s) {
  EXPECT_EQ(bytes_to_alphabet(" \n"), "ĠĊ");
  EXPECT_EQ(bytes_to_alphabet("\xad"), "\xC5\x83");  // U+0143, the last spare character
  for (int i = 0; i < 256; ++i) {
    const std::string byte(1, static_cast<char>(i));
    EXPECT_EQ(alphabet_to_bytes(bytes_to_alphabet(byte)), byte) << i;
  }
  EXPECT_FALSE(alphabet_to_bytes("a b").has_value());
  EXPECT_FALSE(alphabet_to_bytes("中").has_value());
  EXPECT_FALSE(alphabet_to_bytes("\xC4").has_value());
}

// The table of well-formed sequences in the Unicode standard (3.9, D92).
bool well_formed(uint32_t a, uint32_t b, uint32_t c, uint32_t d) {
  const auto in = [](uint32_t x, uint32_t low, uint32_t high) { return x >= low && x <= high; };
  const bool tail = in(c, 0x80, 0xBF) && in(d, 0x80, 0xBF);
  if (a == 0xF0) return in(b, 0x90, 0xBF) && tail;
  if (in(a, 0xF1, 0xF3)) return in(b, 0x80, 0xBF) && tail;
  return a == 0xF4 && in(b, 0x80, 0x8F) && tail;
}

TEST(Utf8, KnowsWellFormedSequences) {
  for (uint32_t a = 0xF0; a < 0x100; ++a)
    for (uint32_t b = 0x70; b < 0xD0; ++b)
      for (const uint32_t c : {0x7FU, 0x80U, 0xBFU, 0xC0U})
        for (const uint32_t d : {0x7FU, 0x80U, 0xBFU, 0xC0U}) {
          const char text[4] = {static_cast<char>(a), static_cast<char>(b), static_cast<char>(c),
                                static_cast<char>(d)};
          const Utf8Step step = utf8_step({text, 4});
          EXPECT_EQ(step.valid && step.length == 4, well_formed(a, b, c, d)) << a << " " << b;
        }
  for (const char* bad :
       {"\xC0\x80", "\xC1\xBF", "\xE0\x80\x80", "\xED\xA0\x80", "\xF5\x80\x80\x80", "\x80"})
    EXPECT_FALSE(utf8_step(bad).valid) << bad;
  EXPECT_EQ(utf8_valid_prefix("abcdefgh\xC3\xA9xyz\xFFz"), 13U);
  EXPECT_EQ(utf8_valid_prefix("abc\xE2\x82"), 3U);
}

TEST(Utf8Stream, YieldsWholeCharactersOnly) {
  const std::string text = "aé€😀 z";
  for (size_t piece = 1; piece <= 5; ++piece) {
    Utf8Stream stream;
    std::string out;
    for (size_t i = 0; i < text.size(); i += piece) {
      const std::string part = stream.push(std::string_view(text).substr(i, piece));
      EXPECT_EQ(utf8_valid_prefix(part), part.size());
      out += part;
    }
    EXPECT_EQ(out + stream.finish(), text);
  }
}

TEST(Utf8Stream, ReplacesWhatCannotBecomeACharacter) {
  Utf8Stream stream;
  EXPECT_EQ(stream.push("a\xE2\x82"), "a");
  EXPECT_EQ(stream.push("b"),
            "\xEF\xBF\xBD"
            "b");
  EXPECT_EQ(stream.push("\xF0\x9F"), "");
  EXPECT_EQ(stream.finish(), "\xEF\xBF\xBD");
  EXPECT_EQ(stream.finish(), "");
  EXPECT_EQ(stream.push("\xFF\xFE"), "\xEF\xBF\xBD\xEF\xBF\xBD");
}

TEST(EncodeInPieces, GivesTheIdsOfTheWhole) {
  std::string text;
  for (int i = 0; i < 1'200'000; ++i) text += "line " + std::to_string(i % 977) + ",\n";
  const auto tokenizer = load_tokenizer(test::data_path("small_json/gpt2.json"));
  std::vector<int32_t> ids;
  int pieces = 0;
  encode_in_pieces(*tokenizer, text, [&](std::span<const int32_t> some, size_t) {
    ids.insert(ids.end(), some.begin(), some.end());
    ++pieces;
  });
  EXPECT_GT(pieces, 1);
  EXPECT_EQ(ids, tokenizer->encode(text));
}

}  // namespace
}  // namespace troupe
