#include "core/io/seal.h"

#include <gtest/gtest.h>

#include <functional>

#include "core/base/error.h"
#include "core/base/random.h"
#include "core/io/sealed_file.h"

namespace troupe {
namespace {

Seal example() {
  Seal seal;
  seal.block = 1024;
  seal.size = 4096;
  seal.entries = {
      {"/a", DType::f32, Shape{2, 3}, 1024, 24, digest_of("a")},
      {"/b with space", std::nullopt, Shape{}, 2000, 5, digest_of("b")},
      {"/c", DType::bf16, Shape{0, 4}, 0, 0, digest_of("")},
      {"/d", DType::i64, Shape{}, 4088, 8, digest_of("d")},
  };
  seal.rest = digest_of("rest");
  return seal;
}

// The text with a digest that is right again.
std::string resealed(std::string text) {
  const size_t at = text.find("\nseal ") + 1;
  const std::string digest = digest_of(std::string_view(text).substr(0, at)).hex();
  text.replace(at + 5, 32, digest);
  return text;
}

std::string refusal(const std::string& block) {
  try {
    parse_seal(block, "FILE");
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ExitCode::checkpoint) << error.what();
    EXPECT_NE(std::string(error.what()).find("FILE"), std::string::npos);
    return error.what();
  }
  return "";
}

TEST(Seal, RoundTrip) {
  const std::string block = format_seal(example());
  EXPECT_EQ(block.size(), 1024U);
  const Seal seal = parse_seal(block, "FILE");
  EXPECT_EQ(format_seal(seal), block);
  ASSERT_NE(seal.find("/c"), nullptr);
  EXPECT_EQ(seal.find("/c")->shape, (Shape{0, 4}));
  EXPECT_EQ(seal.find("/b"), nullptr);
  EXPECT_EQ(type_name(seal.find("/b with space")->dtype), "text");
}

TEST(Seal, BlockIsAPowerOfTwoThatFits) {
  Seal seal = example();
  seal.block = seal_block_bytes(seal.entries);
  seal.size = 1 << 20;
  for (SealEntry& entry : seal.entries) entry.offset = entry.bytes == 0 ? 0 : entry.offset + 90000;
  EXPECT_EQ(parse_seal(format_seal(seal), "FILE").entries.size(), 4U);
  EXPECT_EQ(seal_block_bytes({}), 512);
}

TEST(Seal, EveryBitCounts) {
  const std::string good = format_seal(example());
  for (size_t i = 0; i < good.size() * 8; ++i) {
    std::string bad = good;
    bad[i / 8] = static_cast<char>(bad[i / 8] ^ (1 << i % 8));
    ASSERT_NE(refusal(bad), "") << "bit " << i;
  }
}

TEST(Seal, EveryRuleIsCheckedBehindARightDigest) {
  const std::function<std::string(std::string, std::string)> with = [](std::string from,
                                                                       std::string to) {
    std::string text = format_seal(example());
    const size_t at = text.find(from);
    EXPECT_NE(at, std::string::npos) << from;
    text.replace(at, from.size(), to);
    text.resize(1024, '\0');
    return refusal(resealed(text));
  };
  EXPECT_EQ(refusal(resealed(format_seal(example()))), "");
  EXPECT_NE(with("2x3", "3x3").find("do not fit"), std::string::npos);
  EXPECT_NE(with("2x3", "1x1x1x1x1x2x3").find("dims"), std::string::npos);
  EXPECT_NE(with("24 f32 2x3", "24 f32 -2x-3").find("a shape of at most"), std::string::npos);
  EXPECT_NE(with("24 f32 2x3", "24 f16 2x3").find("unknown element type"), std::string::npos);
  EXPECT_NE(with("24 f32 2x3", "0 f32 4294967296x4294967296").find("do not fit"),
            std::string::npos);
  EXPECT_NE(with(" 1024 24", " 1023 24").find("lies over"), std::string::npos);
  EXPECT_NE(with(" 2000 5", " 1040 5").find("lies over"), std::string::npos);
  EXPECT_NE(with(" 4088 8", " 4089 8").find("outside the file"), std::string::npos);
  EXPECT_NE(with(" 4088 8", " 9223372036854775807 8").find("outside the file"), std::string::npos);
  EXPECT_NE(with(" 4088 8", " 18446744073709551615 8").find("whole number"), std::string::npos);
  EXPECT_NE(with("text - /b", "text 5 /b").find("do not fit"), std::string::npos);
  EXPECT_NE(with("/a\n", "/z\n").find("out of order"), std::string::npos);
  EXPECT_NE(with("/c\n", "/a\n").find("out of order"), std::string::npos);
  EXPECT_NE(with("/c\n", "c\n").find("path"), std::string::npos);
  EXPECT_NE(with("/c\n", "/\x01\n").find("path"), std::string::npos);
  EXPECT_NE(with("size 4096", "size 04096").find("form"), std::string::npos);
  EXPECT_NE(with("size 4096", "size 1000").find("smaller"), std::string::npos);
  EXPECT_NE(with("block 1024", "block 1000").find("block"), std::string::npos);
  EXPECT_NE(with("block 1024", "block 2048").find("cut off"), std::string::npos);
  EXPECT_NE(with("rest ", "rust "), "");
  EXPECT_NE(with("checkpoint 1", "checkpoint 9").find("version 9"), std::string::npos);
}

}  // namespace
}  // namespace troupe
