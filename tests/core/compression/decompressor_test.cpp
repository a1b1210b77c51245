#include "core/compression/decompressor.h"

#include <gtest/gtest.h>

#include "core/base/error.h"
#include "tests/core/compression/compressed.h"

namespace troupe {
namespace {

using test::compressed;
using test::kCompressions;
using test::noise;

std::string unpack(Compression kind, std::string_view bytes) {
  Decompressor from(kind, bytes, "file");
  std::string text;
  int64_t before = 0;
  for (std::string_view piece = from.next(); !piece.empty(); piece = from.next()) {
    EXPECT_LE(piece.size(), size_t{1} << 20);
    EXPECT_GE(from.position(), before);
    before = from.position();
    text += piece;
  }
  EXPECT_EQ(from.position(), static_cast<int64_t>(bytes.size()));
  return text;
}

void expect_damage(const std::string& words, Compression kind, const std::string& bytes) {
  try {
    unpack(kind, bytes);
    ADD_FAILURE() << name(kind) << ": no error; expected one with \"" << words << "\"";
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ExitCode::data) << error.what();
    EXPECT_NE(std::string(error.what()).find(words), std::string::npos) << error.what();
    EXPECT_EQ(std::string(error.what()).find("file: "), 0U) << error.what();
  }
}

TEST(Decompressor, GivesWhatWasCompressed) {
  const std::string long_text = noise(5 << 18) + std::string(9 << 18, 'x');
  for (const Compression kind : kCompressions) {
    for (const std::string& text : {std::string("a"), std::string(), long_text}) {
      const std::string bytes = compressed(kind, text);
      EXPECT_EQ(compression_of(bytes), kind);
      EXPECT_TRUE(unpack(kind, bytes) == text) << name(kind) << " of " << text.size() << " bytes";
    }
  }
}

TEST(Decompressor, ReadsStreamsBehindEachOther) {
  const std::string first = noise(100'000);
  for (const Compression kind : kCompressions) {
    const std::string a = compressed(kind, first);
    const std::string b = compressed(kind, "second");
    EXPECT_TRUE(unpack(kind, a + b + compressed(kind, "") + b) == first + "secondsecond");
    const std::string padding(512, '\0');
    EXPECT_TRUE(unpack(kind, a + padding + b + padding) == first + "second") << name(kind);
    expect_damage("what follows the end of a", kind, a + "garbage");
    const Compression other = kind == Compression::gzip ? Compression::xz : Compression::gzip;
    expect_damage("what follows the end of a", kind, a + compressed(other, "b"));
  }
}

TEST(Decompressor, ReadsZstdFramesThatAreSkipped) {
  const std::string skipped("\x50\x2A\x4D\x18\x03\0\0\0abc", 11);
  EXPECT_EQ(compression_of(skipped), Compression::zstd);
  EXPECT_EQ(unpack(Compression::zstd, skipped + test::zstd("text") + skipped), "text");
}

TEST(Decompressor, NamesWhereAStreamIsCutOff) {
  const std::string text = noise(300'000);
  for (const Compression kind : kCompressions) {
    const std::string bytes = compressed(kind, text);
    for (const size_t size : {bytes.size() - 1, bytes.size() / 2, size_t{11}}) {
      expect_damage("byte " + std::to_string(size) + ": the " + name(kind) +
                        " stream is cut off before its end",
                    kind, bytes.substr(0, size));
    }
    // The second of two streams.
    expect_damage("is cut off before its end", kind, bytes + bytes.substr(0, bytes.size() - 3));
  }
}

TEST(Decompressor, FindsChangedBytes) {
  const std::string text = noise(300'000);
  for (const Compression kind : kCompressions) {
    if (kind == Compression::zstd) continue;  // without a checksum not every change can be seen
    std::string bytes = compressed(kind, text);
    bytes[bytes.size() / 2] = static_cast<char>(bytes[bytes.size() / 2] ^ 0x10);
    expect_damage("stream is damaged", kind, bytes);
  }
  std::string bytes = test::zstd(text);
  bytes[6] = static_cast<char>(bytes[6] ^ 0xFF);
  expect_damage("stream is damaged", Compression::zstd, bytes);
}

// However much comes out, nothing but one piece is held.
TEST(Decompressor, HoldsOnePieceAtATime) {
  const std::string member = test::gzip(std::string(8 << 20, '\0'));
  std::string bytes;
  for (int i = 0; i < 8; ++i) bytes += member;
  Decompressor from(Compression::gzip, bytes, "file");
  int64_t made = 0;
  for (std::string_view piece = from.next(); !piece.empty(); piece = from.next()) {
    ASSERT_LE(piece.size(), size_t{1} << 20);
    made += static_cast<int64_t>(piece.size());
  }
  EXPECT_EQ(made, int64_t{64} << 20);
}

TEST(Compression, IsToldByTheFirstBytes) {
  EXPECT_EQ(compression_of(""), Compression::none);
  EXPECT_EQ(compression_of("BZh9 is how this text begins"), Compression::none);
  EXPECT_EQ(compression_of("\x1F\x8B"), Compression::none);
  EXPECT_EQ(compression_of("P*M"), Compression::none);
}

}  // namespace
}  // namespace troupe
