#include <gtest/gtest.h>

#include <cmath>

#include "core/autograd/tape.h"
#include "core/base/error.h"
#include "core/ops/dropout.h"
#include "core/ops/reduce.h"
#include "core/ops/rope.h"
#include "core/ops/view.h"
#include "tests/core/ops/gradient_check.h"

namespace troupe::testing {
namespace {

Tensor positions(const std::vector<int32_t>& values) {
  return Tensor::from(std::span<const int32_t>(values), {static_cast<int64_t>(values.size())},
                      test_device());
}

Tensor row_keys(const std::vector<int64_t>& values) {
  return Tensor::from(std::span<const int64_t>(values), {static_cast<int64_t>(values.size())},
                      test_device());
}

TEST(Rope, Gradients) {
  const RopeTable table = make_rope_table(9, 4, 100.0, DType::f64, test_device());
  const Tensor at = positions({0, 8, 3});
  expect_gradients([&](auto in) { return rope(in[0], table, at); }, {random_tensor({3, 2, 4}, 1)});
  expect_correct([&](auto in) { return rope(in[0], table, positions({})); },
                 {random_tensor({0, 2, 4}, 1)});
  // A slice of a fused q | k | v, and a transposed tensor that must be copied.
  expect_correct([&](auto in) { return rope(narrow(in[0], 1, 1, 2), table, at); },
                 {random_tensor({3, 4, 4}, 1)});
  expect_correct([&](auto in) { return rope(through_transpose(in[0]), table, at); },
                 {random_tensor({3, 4, 2}, 1)});
  expect_correct(
      [&](auto in) {
        return rope(in[0], table, positions({1, 2, 5, 5, 0, 3}));
      },
      {random_tensor({2, 3, 1, 4}, 1)});
}

TEST(Rope, TurnsPairsHalfAHeadApart) {
  const RopeTable table = make_rope_table(10, 4, 100.0, DType::f64, test_device());
  const std::vector<double> values = {1, 2, 3, 4};
  const Tensor x = Tensor::from(values, {1, 1, 4}, DType::f64, test_device());
  const std::vector<double> y = rope(x, table, positions({7})).values();
  const double angles[2] = {7.0, 7.0 * std::pow(100.0, -0.5)};
  for (size_t i = 0; i < 2; ++i) {
    const double a = values[i];
    const double b = values[i + 2];
    EXPECT_NEAR(y[i], a * std::cos(angles[i]) - b * std::sin(angles[i]), 1e-14);
    EXPECT_NEAR(y[i + 2], b * std::cos(angles[i]) + a * std::sin(angles[i]), 1e-14);
  }
}

TEST(Rope, NarrowTypesFollowF64) {
  const Tensor x = random_tensor({5, 2, 8}, 1, 1, 0, DType::bf16);
  const Tensor at = positions({0, 1, 100, 511, 300});
  const auto run = [&](DType dtype) {
    return rope(cast(x, dtype), make_rope_table(512, 8, 1e4, dtype, test_device()), at);
  };
  EXPECT_LE(relative_difference(run(DType::f64), run(DType::f32)), 1e-6);
  EXPECT_LE(relative_difference(run(DType::f64), run(DType::bf16)), 8e-3);
  EXPECT_THROW(rope(x, make_rope_table(511, 8, 1e4, DType::bf16, test_device()), at), Error);
}

TEST(Dropout, Gradients) {
  const Random random(1, "dropout", "layers.0");
  for (const Shape& shape : std::vector<Shape>{{3, 5}, {1, 9}}) {
    const Tensor keys = row_keys(std::vector<int64_t>(static_cast<size_t>(shape[0]), 11));
    expect_gradients([&](auto in) { return dropout(in[0], 0.25, random, keys); },
                     {random_tensor(shape, 1)});
  }
  expect_correct([&](auto in) { return dropout(in[0], 0.5, random, row_keys({})); },
                 {random_tensor({0, 5}, 1)});
  expect_correct(
      [&](auto in) {
        return dropout(through_transpose(in[0]), 0.5, random, row_keys({4, 5, 6}));
      },
      {random_tensor({5, 3}, 1)});
}

TEST(Dropout, DependsOnThePositionOnly) {
  const Random random(1, "dropout", "layers.0");
  const Tensor x = Tensor::full({4, 6}, DType::f32, 1.0, test_device());
  const std::vector<double> whole = dropout(x, 0.5, random, row_keys({7, 8, 9, 10})).values();
  const Tensor part = Tensor::full({2, 6}, DType::f32, 1.0, test_device());
  const std::vector<double> cut = dropout(part, 0.5, random, row_keys({10, 8})).values();
  for (size_t d = 0; d < 6; ++d) {
    EXPECT_EQ(cut[d], whole[18 + d]);
    EXPECT_EQ(cut[6 + d], whole[6 + d]);
  }
  EXPECT_NE(dropout(x, 0.5, Random(2, "dropout", "layers.0"), row_keys({7, 8, 9, 10})).values(),
            whole);
}

TEST(Dropout, KeepsTheRateAndTheMean) {
  std::vector<int64_t> keys(1000);
  for (size_t i = 0; i < keys.size(); ++i) keys[i] = static_cast<int64_t>(i);
  const Tensor x = Tensor::full({1000, 100}, DType::f32, 1.0, test_device());
  for (double rate : {0.1, 0.5}) {
    const Tensor y = dropout(x, rate, Random(3, "dropout", "a"), row_keys(keys));
    int64_t zeros = 0;
    for (double v : y.values()) {
      zeros += v == 0;
      EXPECT_TRUE(v == 0 || std::abs(v - 1 / (1 - rate)) < 1e-6);
    }
    EXPECT_NEAR(static_cast<double>(zeros) / 1e5, rate, 5 * std::sqrt(rate * (1 - rate) / 1e5));
  }
  EXPECT_EQ(dropout(x, 0.0, Random(3, "dropout", "a"), row_keys(keys)).values(), x.values());
}

}  // namespace
}  // namespace troupe::testing
