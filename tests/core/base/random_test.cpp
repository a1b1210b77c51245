#include "core/base/random.h"

#include <gtest/gtest.h>

#include <cmath>
#include <set>
#include <vector>

namespace troupe {
namespace {

using Words = std::array<uint32_t, 4>;

// The known answers that come with Random123 (Salmon et al. 2011), philox4x32 with 10 rounds.
TEST(Philox, KnownAnswers) {
  EXPECT_EQ(philox4x32({0, 0, 0, 0}, {0, 0}),
            (Words{0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8}));
  constexpr uint32_t kOnes = 0xffffffff;
  EXPECT_EQ(philox4x32({kOnes, kOnes, kOnes, kOnes}, {kOnes, kOnes}),
            (Words{0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd}));
  EXPECT_EQ(philox4x32({0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344}, {0xa4093822, 0x299f31d0}),
            (Words{0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1}));
}

TEST(Random, IsAPureFunctionOfItsKeys) {
  const Random a(1, "init", "layers.0");
  EXPECT_EQ(a.bits(7), Random(1, "init", "layers.0").bits(7));
  const std::set<uint64_t> draws = {a.bits(7),
                                    a.bits(8),
                                    a.bits(7, 1),
                                    Random(2, "init", "layers.0").bits(7),
                                    Random(1, "dropout", "layers.0").bits(7),
                                    Random(1, "init", "layers.1").bits(7),
                                    Random(1, "init").bits(7),
                                    Random(1, "initl", "ayers.0").bits(7)};
  EXPECT_EQ(draws.size(), 8u);
}

TEST(Random, MomentsOfUniformAndNormal) {
  const Random random(3, "test");
  constexpr int kDraws = 200000;
  double mean = 0;
  double normal_mean = 0;
  double normal_square = 0;
  double normal_fourth = 0;
  for (uint64_t i = 0; i < kDraws; ++i) {
    const double u = random.uniform(i);
    ASSERT_GE(u, 0);
    ASSERT_LT(u, 1);
    mean += u;
    const double n = random.normal(i, 1);
    ASSERT_TRUE(std::isfinite(n));
    normal_mean += n;
    normal_square += n * n;
    normal_fourth += n * n * n * n;
  }
  EXPECT_NEAR(mean / kDraws, 0.5, 5 * std::sqrt(1.0 / 12 / kDraws));
  EXPECT_NEAR(normal_mean / kDraws, 0, 5 * std::sqrt(1.0 / kDraws));
  EXPECT_NEAR(normal_square / kDraws, 1, 5 * std::sqrt(2.0 / kDraws));
  EXPECT_NEAR(normal_fourth / kDraws, 3, 5 * std::sqrt(96.0 / kDraws));
}

// Enough draws to meet what is computed in another way: about one in 100,000.
TEST(Random, ManyNormalsAreThoseDrawnOneByOne) {
  const Random random(5, "test");
  for (const uint64_t first : {uint64_t{0}, uint64_t{0xffffff00}, uint64_t{1} << 40}) {
    std::vector<double> many(1'000'003);
    random.normals(first, many);
    for (size_t i = 0; i < many.size(); ++i) ASSERT_EQ(many[i], random.normal(first + i)) << i;
  }
  std::vector<double> few(3, 7.0);
  random.normals(9, std::span(few).first(2));
  EXPECT_EQ(few, (std::vector<double>{random.normal(9), random.normal(10), 7.0}));
}

// Also where a number lies so near the middle of two f32 that libm's cosine decides: about one of a
// million does.
TEST(Random, ScaledNormalsHaveTheBitsOfOneRoundedAlone) {
  const Random random(7, "init", "layers.0.ffn.up.weight");
  const double scale = 0.02 / std::sqrt(8.0);
  std::vector<double> exact(1 << 22);
  std::vector<float> many(exact.size());
  random.normals(3, exact);
  random.scaled_normals(3, scale, many);
  for (size_t i = 0; i < many.size(); ++i)
    ASSERT_EQ(many[i], static_cast<float>(scale * exact[i])) << i;
  std::vector<float> few(3, 7.0F);
  random.scaled_normals(9, scale, std::span(few).first(2));
  EXPECT_EQ(few[1], static_cast<float>(scale * random.normal(10)));
  EXPECT_EQ(few[2], 7.0F);
}

TEST(Random, BelowCoversItsRangeEvenly) {
  const Random random(4, "test");
  std::vector<int> counts(7);
  for (uint64_t i = 0; i < 70000; ++i) ++counts.at(random.below(i, 7));
  for (int count : counts) EXPECT_NEAR(count, 10000, 5 * std::sqrt(10000.0));
  EXPECT_EQ(random.below(1, 1), 0u);
}

}  // namespace
}  // namespace troupe
