#include "core/ops/softmax.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>

#include "core/autograd/tape.h"
#include "core/ops/activation.h"
#include "core/ops/arithmetic.h"
#include "core/ops/reduce.h"
#include "core/ops/view.h"
#include "tests/core/ops/gradient_check.h"

namespace troupe::testing {
namespace {

using Op = Tensor (*)(const Tensor&);

TEST(Softmax, GradientsOfEveryShape) {
  for (Op op : {static_cast<Op>(log_softmax), static_cast<Op>(logsumexp)}) {
    for (const Shape& shape : std::vector<Shape>{{0, 3}, {7}, {3, 5}, {2, 3, 1, 5}}) {
      expect_gradients([op](auto in) { return op(in[0]); }, {random_tensor(shape, 1)});
    }
  }
  for (const Shape& shape : std::vector<Shape>{{0, 3}, {7}, {3, 5}, {2, 3, 1, 5}}) {
    expect_gradients([](auto in) { return softmax(in[0]); }, {random_tensor(shape, 1)});
  }
  for (Op op :
       {static_cast<Op>(softmax), static_cast<Op>(log_softmax), static_cast<Op>(logsumexp)}) {
    expect_correct([op](auto in) { return op(in[0]); }, {random_tensor({4, 1}, 1)});
    expect_correct([op](auto in) { return op(through_transpose(in[0])); },
                   {random_tensor({3, 5}, 1)});
    expect_correct([op](auto in) { return op(through_expand(in[0], 3)); },
                   {random_tensor({1, 5}, 1)});
  }
  expect_correct([](auto in) { return softmax(in[0]); }, {random_tensor({3, 0}, 1)});
}

TEST(Softmax, EqualsItsParts) {
  const Tensor x = random_tensor({5, 300}, 2, 5.0);
  const Tensor e = exp(x);
  const Tensor total = sum(e, -1, true);
  EXPECT_LE(relative_difference(div(e, total), softmax(x)), 1e-13);
  EXPECT_LE(relative_difference(log(div(e, total)), log_softmax(x)), 1e-13);
  EXPECT_LE(relative_difference(log(sum(e, -1)), logsumexp(x)), 1e-13);
  for (const auto& [dtype, tolerance] :
       {std::pair(DType::f32, 2e-6), std::pair(DType::bf16, 8e-3)}) {
    const Tensor narrow = cast(x, dtype);
    const Tensor again = cast(narrow, DType::f64);
    EXPECT_LE(relative_difference(softmax(again), softmax(narrow)), tolerance);
    EXPECT_LE(relative_difference(log_softmax(again), log_softmax(narrow)), tolerance);
    EXPECT_LE(relative_difference(logsumexp(again), logsumexp(narrow)), tolerance);
  }
}

TEST(Softmax, ExtremeRows) {
  const double inf = std::numeric_limits<double>::infinity();
  for (DType dtype : {DType::f64, DType::f32}) {
    const std::vector<double> values = {-inf, -inf, 1e30, -1e30, -inf, 3, std::nan(""), 1};
    const Tensor x = Tensor::from(values, {4, 2}, dtype, test_device());
    const std::vector<double> p = softmax(x).values();
    EXPECT_EQ(p[0], 0);
    EXPECT_EQ(p[1], 0);
    EXPECT_EQ(p[2], 1);
    EXPECT_EQ(p[3], 0);
    EXPECT_EQ(p[4], 0);
    EXPECT_EQ(p[5], 1);
    EXPECT_TRUE(std::isnan(p[6]) && std::isnan(p[7]));
    EXPECT_EQ(logsumexp(x).values()[0], -inf);
    EXPECT_TRUE(std::isnan(logsumexp(x).values()[3]));
  }
}

}  // namespace
}  // namespace troupe::testing
