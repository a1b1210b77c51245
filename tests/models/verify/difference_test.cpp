#include "models/verify/difference.h"

#include <gtest/gtest.h>

#include <limits>

namespace troupe::laws {
namespace {

constexpr double kInfinity = std::numeric_limits<double>::infinity();
constexpr double kNaN = std::numeric_limits<double>::quiet_NaN();

TEST(Difference, IsRelativeToTheLargestElementOrTheNorm) {
  const std::vector<NamedTensor> a{{"w", {3.0, -4.0}}};
  const std::vector<NamedTensor> b{{"w", {3.0, -3.0}}};
  EXPECT_DOUBLE_EQ(differences(a, b, Norm::maximum)[0], 1.0 / 4.0);
  EXPECT_DOUBLE_EQ(differences(a, b, Norm::two)[0], 1.0 / 5.0);
  EXPECT_EQ(differences(a, a, Norm::maximum)[0], 0.0);
}

// A tensor near zero is compared with a thousandth of the RMS of all of them.
TEST(Difference, ATensorNearZeroHasAFloor) {
  const std::vector<NamedTensor> a{{"zero", {0.0}}, {"w", {std::sqrt(2.0)}}};
  const std::vector<NamedTensor> b{{"zero", {1e-6}}, {"w", {std::sqrt(2.0)}}};
  EXPECT_DOUBLE_EQ(differences(a, b, Norm::maximum)[0], 1e-3);
}

TEST(Difference, TensorsAreFoundByName) {
  const std::vector<NamedTensor> a{{"first", {1.0}}, {"second", {2.0}}};
  const std::vector<NamedTensor> b{{"second", {2.0}}, {"first", {1.0}}};
  std::string where;
  EXPECT_EQ(worst_difference(a, b, where), 0.0);
}

TEST(Difference, WhatCannotBeComparedIsInfinite) {
  const std::vector<NamedTensor> a{{"w", {1.0, 2.0}}};
  for (const std::vector<NamedTensor>& b :
       {std::vector<NamedTensor>{}, std::vector<NamedTensor>{{"w", {1.0}}},
        std::vector<NamedTensor>{{"w", {1.0, kNaN}}},
        std::vector<NamedTensor>{{"w", {kInfinity, 2.0}}},
        std::vector<NamedTensor>{{"w", {1.0, 2.0}}, {"more", {0.0}}}}) {
    std::string where;
    EXPECT_EQ(worst_difference(a, b, where), kInfinity);
    EXPECT_FALSE(where.empty());
  }
}

TEST(Difference, OfListsSeesNaNAndOtherLengths) {
  using List = std::vector<double>;
  EXPECT_DOUBLE_EQ(worst_difference(List{2.0, 4.0}, List{2.0, 5.0}), 0.25);
  EXPECT_EQ(worst_difference(List{1.0, 2.0}, List{1.0, kNaN}), kInfinity);
  EXPECT_EQ(worst_difference(List{1.0, 2.0}, List{1.0}), kInfinity);
  EXPECT_EQ(worst_difference(List{1.0}, List{1.0, 2.0}), kInfinity);
}

}  // namespace
}  // namespace troupe::laws
