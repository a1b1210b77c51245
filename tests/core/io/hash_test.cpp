#include "core/io/hash.h"

#include <gtest/gtest.h>

namespace troupe {
namespace {

// Values of `xxhsum -H2` (XXH3-128, seed 0).
TEST(Hash, KnownDigests) {
  EXPECT_EQ(digest_of("").hex(), "99aa06d3014798d86001c324468d497f");
  EXPECT_EQ(Hasher().digest(), digest_of(""));
}

TEST(Hash, PiecesDoNotMatter) {
  std::string text;
  for (int i = 0; i < 5000; ++i) text += static_cast<char>(i * 31);
  const Digest whole = digest_of(text);
  for (const size_t step : {1, 7, 240, 1024, 4999}) {
    Hasher hasher;
    for (size_t at = 0; at < text.size(); at += step) {
      hasher.add(std::string_view(text).substr(at, step));
    }
    EXPECT_EQ(hasher.digest(), whole) << step;
  }
  text[2500] ^= 1;
  EXPECT_NE(digest_of(text), whole);
}

TEST(Hash, TextForm) {
  const Digest digest{0x0123456789abcdefULL, 0xfULL};
  EXPECT_EQ(digest.hex(), "0123456789abcdef000000000000000f");
  EXPECT_EQ(Digest::parse(digest.hex()), digest);
  EXPECT_FALSE(Digest::parse("0123456789ABCDEF000000000000000f"));
  EXPECT_FALSE(Digest::parse("0123456789abcdef000000000000000"));
  EXPECT_FALSE(Digest::parse("0123456789abcdef00000000000000 f"));
}

}  // namespace
}  // namespace troupe
