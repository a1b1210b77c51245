#include "core/ops/view.h"

#include <gtest/gtest.h>

#include "core/autograd/tape.h"
#include "core/base/error.h"
#include "core/ops/arithmetic.h"
#include "tests/core/ops/gradient_check.h"

namespace troupe::testing {
namespace {

TEST(Views, Gradients) {
  expect_gradients([](auto in) { return reshape(in[0], {5, 6}); }, {random_tensor({2, 3, 5}, 1)});
  expect_gradients([](auto in) { return reshape(in[0], {}); }, {random_tensor({1, 1}, 1)});
  expect_gradients([](auto in) { return transpose(in[0], 0, -1); }, {random_tensor({2, 3, 5}, 1)});
  expect_gradients([](auto in) { return narrow(in[0], 1, 1, 2); }, {random_tensor({2, 4, 3}, 1)});
  expect_gradients([](auto in) { return expand(in[0], {4, 3, 5}); }, {random_tensor({3, 1}, 1)});
  expect_correct([](auto in) { return reshape(through_transpose(in[0]), {15}); },
                 {random_tensor({3, 5}, 1)});
  expect_correct([](auto in) { return contiguous(through_transpose(in[0])); },
                 {random_tensor({3, 5}, 1)});
  for (int64_t size : {0, 1}) {
    expect_correct([](auto in) { return transpose(in[0], 0, 1); }, {random_tensor({size, 3}, 1)});
    expect_correct([size](auto in) { return narrow(in[0], 0, 1, size); },
                   {random_tensor({3, 2}, 1)});
    expect_correct(
        [size](auto in) {
          return expand(in[0], {size, 3});
        },
        {random_tensor({1, 3}, 1)});
    expect_correct([](auto in) { return narrow(in[0], 0, 0, 0); }, {random_tensor({size, 3}, 1)});
  }
}

TEST(Concat, GradientsAndEmptyParts) {
  for (int dim : {0, 1, -1}) {
    Shape a = {2, 3, 2};
    Shape b = a;
    Shape c = a;
    b[dim] = 0;
    c[dim] = 1;
    expect_gradients([dim](auto in) { return concat(in, dim); },
                     {random_tensor(a, 1), random_tensor(b, 2), random_tensor(c, 3)});
  }
  expect_correct(
      [](auto in) {
        const std::vector<Tensor> parts = {through_transpose(in[0]), in[1], in[1]};
        return concat(parts, 0);
      },
      {random_tensor({3, 2}, 1), random_tensor({1, 3}, 2)});
  const std::vector<Tensor> odd = {random_tensor({2, 3}, 1), random_tensor({2, 4}, 1)};
  EXPECT_THROW(concat(odd, 0), Error);
}

TEST(Cast, GradientComesBackInTheInputsType) {
  Tensor received;
  const Tensor x =
      leaf(random_tensor({5}, 1, 1, 0, DType::bf16), [&](Tensor g) { received = std::move(g); });
  const Tensor out = cast(x, DType::f32);
  EXPECT_EQ(out.dtype(), DType::f32);
  EXPECT_EQ(out.values(), x.values());
  const Tensor seed = random_tensor({5}, 2, 1, 0, DType::f32);
  backward(std::span<const Tensor>(&out, 1), std::span<const Tensor>(&seed, 1));
  EXPECT_EQ(received.dtype(), DType::bf16);
  EXPECT_LE(relative_difference(seed, received), 4e-3);
}

TEST(Cast, RoundsToNearestEven) {
  const std::vector<double> values = {1.00390625, 1.01171875, 1.0, -1.00390625, 3.0e38, 1e-41};
  const Tensor x = Tensor::from(values, {6}, DType::f32, test_device());
  const std::vector<double> half = cast(x, DType::bf16).values();
  EXPECT_EQ(half[0], 1.0);       // a tie: down to even
  EXPECT_EQ(half[1], 1.015625);  // a tie: up to even
  EXPECT_EQ(half[3], -1.0);
  // The vector path and the plain one agree.
  const Tensor many = random_tensor({1000}, 3, 1e3, 0, DType::f32);
  const std::vector<double> wide = many.values();
  const std::vector<double> cast_values = cast(many, DType::bf16).values();
  for (size_t i = 0; i < wide.size(); ++i) {
    EXPECT_EQ(cast_values[i], static_cast<float>(BF16(static_cast<float>(wide[i]))));
  }
}

TEST(Views, RefuseWhatDoesNotFit) {
  const Tensor x = random_tensor({2, 3}, 1);
  EXPECT_THROW(reshape(x, {4}), Error);
  EXPECT_THROW(narrow(x, 1, 2, 2), Error);
  EXPECT_THROW(transpose(x, 0, 2), Error);
  EXPECT_THROW(expand(x, {2, 4}), Error);
}

}  // namespace
}  // namespace troupe::testing
