#include "moe/dispatch/tie.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>

namespace troupe {
namespace {

TEST(TieScore, TakesTheLastBitsAway) {
  const double score = 0.3217;
  EXPECT_EQ(tie_score(score, DType::f64), tie_score(std::nextafter(score, 1.0), DType::f64));
  const auto single = 0.3217F;
  EXPECT_EQ(tie_score(single, DType::f32), tie_score(std::nextafter(single, 1.0F), DType::f32));
}

TEST(TieScore, KeepsTheOrderOfWhatDiffers) {
  for (double score : {1e-30, 0.02, 0.5, 0.999}) {
    EXPECT_LT(tie_score(score, DType::f64), tie_score(score * (1 + 1e-11), DType::f64));
    EXPECT_LT(tie_score(score, DType::f32), tie_score(score * (1 + 1e-4), DType::f32));
    EXPECT_NEAR(tie_score(score, DType::f32) / score, 1.0, 1e-5);
  }
  EXPECT_EQ(tie_score(0.0, DType::f32), 0.0);
  EXPECT_EQ(tie_score(-1.0, DType::f32), -1.0);
  EXPECT_TRUE(std::isinf(tie_score(std::numeric_limits<double>::infinity(), DType::f32)));
}

}  // namespace
}  // namespace troupe
