// Half-precision numbers, all of them, and what becomes of numbers that a type cannot hold.
#include "core/formats/stored_type.h"

#include <gtest/gtest.h>

#include <bit>
#include <cmath>
#include <cstring>
#include <limits>
#include <vector>

namespace troupe {
namespace {

// By the definition of IEEE 754: sign, 5 bits of exponent, 10 of fraction.
double half_value(uint16_t half) {
  const double sign = (half & 0x8000) != 0 ? -1.0 : 1.0;
  const int exponent = half >> 10 & 31;
  const double fraction = half & 1023;
  if (exponent == 0) return sign * std::ldexp(fraction, -24);
  if (exponent == 31) {
    return fraction == 0 ? sign * std::numeric_limits<double>::infinity()
                         : std::numeric_limits<double>::quiet_NaN();
  }
  return sign * std::ldexp(1024 + fraction, exponent - 25);
}

uint16_t to_half(float value) {
  uint16_t half = 0;
  from_f32(&value, 1, StoredType::f16, reinterpret_cast<std::byte*>(&half));
  return half;
}

TEST(StoredType, EveryHalfIsReadAndWrittenBack) {
  for (uint32_t bits = 0; bits < 65536; ++bits) {
    const auto half = static_cast<uint16_t>(bits);
    float value = 0;
    to_f32(StoredType::f16, reinterpret_cast<const std::byte*>(&half), 1, &value);
    if (std::isnan(half_value(half))) {
      EXPECT_TRUE(std::isnan(value)) << bits;
      EXPECT_TRUE(std::isnan(half_value(to_half(value)))) << bits;
      continue;
    }
    ASSERT_EQ(static_cast<double>(value), half_value(half)) << bits;
    ASSERT_EQ(std::signbit(value), (bits & 0x8000) != 0) << bits;
    ASSERT_EQ(to_half(value), half) << bits;
  }
}

TEST(StoredType, HalvesAreRoundedToTheNearestEven) {
  // Between each two neighbours: the middle goes to the even one, what is next to it to the nearer.
  for (uint16_t half = 0; half < 0x7bff; ++half) {
    const double low = half_value(half);
    const double high = half_value(static_cast<uint16_t>(half + 1));
    const auto middle = static_cast<float>((low + high) / 2);
    const auto even = static_cast<uint16_t>(half % 2 == 0 ? half : half + 1);
    ASSERT_EQ(to_half(middle), even) << half;
    ASSERT_EQ(to_half(std::nextafter(middle, 0.0F)), half) << half;
    ASSERT_EQ(to_half(std::nextafter(middle, 1e30F)), half + 1) << half;
    ASSERT_EQ(to_half(-middle), even | 0x8000) << half;
  }
}

TEST(StoredType, NumbersThatDoNotFitAreCounted) {
  const std::vector<float> values = {65504, 65519.996F, 65520, -1e30F, INFINITY, NAN, 1e-30F};
  std::vector<std::byte> out(values.size() * 2);
  EXPECT_EQ(from_f32(values.data(), 7, StoredType::f16, out.data()), 2) << "65520 and -1e30";
  const std::vector<float> large = {3.4e38F, 1.0F};
  EXPECT_EQ(from_f32(large.data(), 2, StoredType::bf16, out.data()), 1);
  EXPECT_EQ(from_f32(large.data(), 2, StoredType::f32, out.data()), 0);
}

TEST(StoredType, NamesAreThoseOfTheFormat) {
  EXPECT_EQ(stored_type("BF16"), StoredType::bf16);
  EXPECT_STREQ(name(StoredType::f8_e4m3), "F8_E4M3");
  EXPECT_FALSE(stored_type("bf16"));
  for (int i = 0; i <= static_cast<int>(StoredType::boolean); ++i) {
    const auto type = static_cast<StoredType>(i);
    EXPECT_EQ(stored_type(name(type)), type);
  }
}

TEST(StoredType, ConvertsBlockByBlock) {
  std::vector<float> values(10000);
  for (size_t i = 0; i < values.size(); ++i) values[i] = 0.25F * static_cast<float>(i % 512) - 60;
  std::vector<std::byte> half(values.size() * 2);
  std::vector<float> back(values.size());
  const auto* bytes = reinterpret_cast<const std::byte*>(values.data());
  EXPECT_EQ(convert(StoredType::f32, bytes, 10000, StoredType::f16, half.data()), 0);
  EXPECT_EQ(convert(StoredType::f16, half.data(), 10000, StoredType::f32,
                    reinterpret_cast<std::byte*>(back.data())),
            0);
  EXPECT_EQ(back, values);
}

}  // namespace
}  // namespace troupe
