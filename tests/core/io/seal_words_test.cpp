#include "core/io/seal_words.h"

#include <gtest/gtest.h>

namespace troupe {
namespace {

TEST(SealWords, NumbersAreDigits) {
  EXPECT_EQ(parse_whole("0"), 0);
  EXPECT_EQ(parse_whole("9223372036854775807"), INT64_MAX);
  for (const char* bad : {"", "-1", "+1", " 1", "1 ", "0x3", "9223372036854775808"}) {
    EXPECT_FALSE(parse_whole(bad)) << bad;
  }
}

TEST(SealWords, ShapesReadBack) {
  for (const Shape& shape : {Shape{}, Shape{0}, Shape{4, 3}, Shape{1, 0, 7}}) {
    EXPECT_EQ(parse_shape(shape_text(shape)), shape) << shape_text(shape);
  }
  for (const char* bad : {"", "x", "4x", "x4", "4xx3", "-x3", "4x-", "1x1x1x1x1x1x1x1x1x1x1x1"}) {
    EXPECT_FALSE(parse_shape(bad)) << bad;
  }
}

TEST(SealWords, TypesAndBytes) {
  EXPECT_EQ(parse_dtype("bf16"), DType::bf16);
  EXPECT_FALSE(parse_dtype("text"));
  EXPECT_EQ(tensor_bytes(Shape{4, 3}, DType::bf16), 24);
  EXPECT_EQ(tensor_bytes(Shape{}, DType::f64), 8);
  EXPECT_EQ(tensor_bytes(Shape{0, INT64_MAX}, DType::f64), 0);
  EXPECT_FALSE(tensor_bytes(Shape{INT64_MAX, 2}, DType::u8));
}

}  // namespace
}  // namespace troupe
