#include "core/ops/reduce.h"

#include <gtest/gtest.h>

#include "core/base/error.h"
#include "core/ops/view.h"
#include "tests/core/ops/gradient_check.h"

namespace troupe::testing {
namespace {

TEST(Reduce, GradientsOfSumsAndMeans) {
  for (const Shape& shape : std::vector<Shape>{{1}, {7}, {3, 5}, {2, 3, 1, 5}}) {
    const Tensor x = random_tensor(shape, 1);
    expect_gradients([](auto in) { return sum(in[0]); }, {x});
    expect_gradients([](auto in) { return mean(in[0]); }, {x});
    for (int dim = 0; dim < shape.rank(); ++dim) {
      for (bool keep : {false, true}) {
        expect_gradients([=](auto in) { return sum(in[0], dim, keep); }, {x});
        expect_gradients([=](auto in) { return mean(in[0], dim, keep); }, {x});
      }
    }
  }
  expect_correct([](auto in) { return sum(through_transpose(in[0]), 0); },
                 {random_tensor({3, 5}, 1)});
  expect_correct([](auto in) { return sum(through_expand(in[0], 4)); }, {random_tensor({1, 5}, 1)});
  expect_correct([](auto in) { return mean(through_cut(in[0]), -1); }, {random_tensor({3, 5}, 1)});
}

TEST(Reduce, OfNothing) {
  EXPECT_EQ(sum(random_tensor({0, 3}, 1)).item(), 0);
  EXPECT_EQ(sum(random_tensor({0, 3}, 1), 0).values(), (std::vector<double>{0, 0, 0}));
  EXPECT_EQ(sum(random_tensor({0, 3}, 1), 1).shape(), Shape({0}));
  EXPECT_THROW(mean(random_tensor({0}, 1)), Error);
  expect_correct([](auto in) { return sum(in[0], 0); }, {random_tensor({0, 3}, 1)});
}

TEST(Reduce, LongSumsInNarrowTypes) {
  for (const Shape& shape : std::vector<Shape>{{50001}, {20003, 3}, {3, 20003}, {5, 301, 7}}) {
    const Tensor x = random_tensor(shape, 2, 1, 0.5, DType::bf16);
    for (int dim = 0; dim < shape.rank(); ++dim) {
      const Tensor exact = sum(cast(x, DType::f64), dim);
      EXPECT_LE(relative_difference(exact, sum(cast(x, DType::f32), dim)), 1e-5);
      EXPECT_LE(relative_difference(exact, sum(x, dim)), 4e-3);
    }
    EXPECT_LE(relative_difference(sum(cast(x, DType::f64)), sum(cast(x, DType::f32))), 1e-5);
  }
}

}  // namespace
}  // namespace troupe::testing
