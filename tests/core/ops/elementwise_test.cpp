#include <gtest/gtest.h>

#include <cmath>
#include <limits>

#include "core/autograd/tape.h"
#include "core/base/error.h"
#include "core/ops/activation.h"
#include "core/ops/arithmetic.h"
#include "core/ops/reduce.h"
#include "core/ops/view.h"
#include "tests/core/ops/gradient_check.h"
#include "tests/support/guarded_device.h"

namespace troupe::testing {
namespace {

using Unary = Tensor (*)(const Tensor&);
using Binary = Tensor (*)(const Tensor&, const Tensor&);

const std::vector<Shape> kShapes = {{0}, {1}, {7}, {3, 0}, {1, 1}, {3, 5}, {2, 3, 1, 5}};

Function of(Unary op) {
  return [op](std::span<const Tensor> in) { return op(in[0]); };
}
Function of(Binary op) {
  return [op](std::span<const Tensor> in) { return op(in[0], in[1]); };
}

struct NamedUnary {
  const char* name;
  Unary op;
  double offset;  // keeps the inputs inside the domain and off the kinks
};

class UnaryOps : public ::testing::TestWithParam<NamedUnary> {};

TEST_P(UnaryOps, GradientsOfEveryShape) {
  const auto [name, op, offset] = GetParam();
  for (const Shape& shape : kShapes) {
    // A single element must not lie where relu is flat: no mutant would show there.
    const double centre = shape.elements() == 1 ? 2.0 : offset;
    expect_gradients(of(op), {random_tensor(shape, 1, centre == 0 ? 1.0 : 0.2, centre)});
  }
}

TEST_P(UnaryOps, GradientsOfStridedAndBroadcastViews) {
  const auto [name, op, offset] = GetParam();
  const Tensor x = random_tensor({3, 5}, 2, offset == 0 ? 1.0 : 0.2, offset);
  const Unary f = op;
  expect_correct([f](auto in) { return f(through_transpose(in[0])); }, {x});
  expect_correct([f](auto in) { return f(through_cut(in[0])); }, {x});
  const Tensor row = random_tensor({1, 5}, 3, offset == 0 ? 1.0 : 0.2, offset);
  expect_correct([f](auto in) { return f(through_expand(in[0], 4)); }, {row});
}

TEST_P(UnaryOps, NarrowTypesFollowF64) {
  const auto [name, op, offset] = GetParam();
  const Tensor x = random_tensor({37, 41}, 4, offset == 0 ? 3.0 : 0.2, offset, DType::bf16);
  const auto gradient = [op = op](const Tensor& in) {
    Tensor g;
    const Tensor out = op(leaf(in, [&](Tensor t) { g = std::move(t); }));
    const Tensor seed = Tensor::full(out.shape(), out.dtype(), 1.0, out.device());
    backward(std::span<const Tensor>(&out, 1), std::span<const Tensor>(&seed, 1));
    return std::pair(out.detach(), g);
  };
  const auto [exact, exact_gradient] = gradient(cast(x, DType::f64));
  const auto [single, single_gradient] = gradient(cast(x, DType::f32));
  const auto [half, half_gradient] = gradient(x);
  EXPECT_LE(relative_difference(exact, single), 1e-6);
  EXPECT_LE(relative_difference(exact_gradient, single_gradient), 1e-6);
  EXPECT_LE(relative_difference(exact, half), 4e-3);
  EXPECT_LE(relative_difference(exact_gradient, half_gradient), 4e-3);
}

INSTANTIATE_TEST_SUITE_P(
    All, UnaryOps,
    ::testing::Values(NamedUnary{"relu", relu, 0}, NamedUnary{"squared_relu", squared_relu, 0},
                      NamedUnary{"sigmoid", sigmoid, 0}, NamedUnary{"silu", silu, 0},
                      NamedUnary{"gelu", gelu, 0}, NamedUnary{"gelu_tanh", gelu_tanh, 0},
                      NamedUnary{"tanh", tanh, 0}, NamedUnary{"exp", exp, 0},
                      NamedUnary{"log", log, 2}, NamedUnary{"sqrt", sqrt, 2},
                      NamedUnary{"square", square, 0}, NamedUnary{"softplus", softplus, 0},
                      NamedUnary{"normal_cdf", normal_cdf, 0}),
    [](const auto& info) { return info.param.name; });

struct NamedBinary {
  const char* name;
  Binary op;
};

class BinaryOps : public ::testing::TestWithParam<NamedBinary> {};

TEST_P(BinaryOps, GradientsWithBroadcasting) {
  const Binary op = GetParam().op;
  const std::vector<std::pair<Shape, Shape>> pairs = {
      {{3, 5}, {3, 5}}, {{3, 5}, {5}}, {{5}, {3, 5}},    {{3, 1}, {1, 5}}, {{2, 3, 5}, {3, 1}},
      {{}, {2, 3}},     {{1}, {1}},    {{0, 3}, {1, 3}}, {{2, 0}, {2, 1}}, {{2, 1, 3}, {7, 1}}};
  for (const auto& [a, b] : pairs) {
    if (broadcast(a, b).elements() == 0) {  // nothing for a mutant to spoil
      expect_correct(of(op), {random_tensor(a, 1), random_tensor(b, 2, 0.2, 2)});
    } else {
      expect_gradients(of(op), {random_tensor(a, 1), random_tensor(b, 2, 0.2, 2)});
    }
  }
}

TEST_P(BinaryOps, GradientsOfViewsAndOfOneValueTwice) {
  const Binary op = GetParam().op;
  const Tensor x = random_tensor({3, 5}, 1, 0.2, 2);
  expect_correct([op](auto in) { return op(through_transpose(in[0]), in[1]); },
                 {x, random_tensor({5, 3}, 2, 0.2, 2)});
  expect_correct([op](auto in) { return op(in[0], through_cut(in[0])); },
                 {random_tensor({3, 3}, 4, 0.2, 2)});
  expect_correct([op](auto in) { return op(in[0], in[0]); }, {x});
}

INSTANTIATE_TEST_SUITE_P(All, BinaryOps,
                         ::testing::Values(NamedBinary{"add", add}, NamedBinary{"sub", sub},
                                           NamedBinary{"mul", mul}, NamedBinary{"div", div}),
                         [](const auto& info) { return info.param.name; });

TEST(Affine, Gradients) {
  for (const Shape& shape : kShapes) {
    expect_gradients([](auto in) { return affine(in[0], -1.5, 0.25); }, {random_tensor(shape, 1)});
  }
}

TEST(Swiglu, GradientsOfBothForms) {
  for (const Shape& shape : std::vector<Shape>{{0, 4}, {1, 2}, {3, 10}, {2, 3, 6}}) {
    expect_gradients([](auto in) { return swiglu(in[0]); }, {random_tensor(shape, 1)});
    expect_gradients(of(static_cast<Binary>(swiglu)),
                     {random_tensor(shape, 1), random_tensor(shape, 2)});
  }
  expect_correct([](auto in) { return swiglu(through_transpose(in[0])); },
                 {random_tensor({4, 3}, 3)});
}

TEST(Swiglu, EqualsItsParts) {
  for (const auto& [dtype, tolerance] :
       {std::pair(DType::f64, 1e-15), std::pair(DType::f32, 1e-6), std::pair(DType::bf16, 1e-2)}) {
    const Tensor x = random_tensor({37, 70}, 5, 2.0, 0.0, dtype);
    const Tensor parts = mul(silu(narrow(x, 1, 0, 35)), narrow(x, 1, 35, 35));
    EXPECT_LE(relative_difference(parts, swiglu(x)), tolerance) << name(dtype);
  }
}

TEST(Elementwise, StridesDoNotChangeBits) {
  for (DType dtype : {DType::f32, DType::bf16}) {
    const Tensor x = random_tensor({33, 65}, 6, 2.0, 0.0, dtype);
    const Tensor turned = contiguous(transpose(x, 0, 1));
    const Tensor a = silu(x);
    const Tensor b = transpose(silu(transpose(turned, 0, 1)), 0, 1);
    EXPECT_EQ(a.values(), transpose(b, 0, 1).values());
  }
}

TEST(Elementwise, ThreadsDoNotChangeBits) {
  const std::vector<double> values = random_tensor({300, 701}, 7).values();
  const Tensor one = Tensor::from(values, {300, 701}, DType::f32, testing::chosen_device(1));
  const Tensor four = Tensor::from(values, {300, 701}, DType::f32, testing::chosen_device(4));
  EXPECT_EQ(sum(silu(one)).item(), sum(silu(four)).item());
  EXPECT_EQ(sum(one, 0).values(), sum(four, 0).values());
  EXPECT_EQ(sum(one, 1).values(), sum(four, 1).values());
}

TEST(Elementwise, ExtremesAndNaN) {
  const double inf = std::numeric_limits<double>::infinity();
  const std::vector<double> values = {-inf, -1000, -80, 0, 80, 1000, inf, std::nan("")};
  for (DType dtype : {DType::f64, DType::f32}) {
    const Tensor x = Tensor::from(values, {8}, dtype, test_device());
    const std::vector<double> s = sigmoid(x).values();
    EXPECT_EQ(s[0], 0);
    EXPECT_EQ(s[1], 0);
    EXPECT_NEAR(s[2], std::exp(-80.0), 1e-40);
    EXPECT_EQ(s[3], 0.5);
    EXPECT_EQ(s[6], 1);
    EXPECT_TRUE(std::isnan(s[7]));
    const std::vector<double> e = exp(x).values();
    EXPECT_EQ(e[0], 0);
    EXPECT_EQ(e[1], 0);
    EXPECT_NEAR(e[4] / std::exp(80.0), 1, 1e-6);
    EXPECT_EQ(e[5], inf);
    EXPECT_TRUE(std::isnan(e[7]));
    for (Unary op : {relu, squared_relu, silu, gelu, gelu_tanh, softplus}) {
      EXPECT_TRUE(std::isnan(op(x).values()[7]));
    }
  }
}

// The formula of the paper, written with tanh; no rounding of many values beyond their own.
TEST(Elementwise, GeluTanhIsTheFormula) {
  for (DType dtype : {DType::f64, DType::f32}) {
    const Tensor x = random_tensor({1000}, 7, 3, 0, dtype);
    const std::vector<double> in = x.values();
    const std::vector<double> out = gelu_tanh(x).values();
    for (size_t i = 0; i < in.size(); ++i) {
      const double inner = std::sqrt(2.0 / M_PI) * (in[i] + 0.044715 * in[i] * in[i] * in[i]);
      EXPECT_NEAR(out[i], 0.5 * in[i] * (1 + std::tanh(inner)), dtype == DType::f64 ? 1e-15 : 1e-6);
    }
  }
}

TEST(Elementwise, RefusesMixedAndIntegerTypes) {
  const Tensor a = random_tensor({3}, 1);
  const Tensor b = random_tensor({3}, 1, 1, 0, DType::f32);
  EXPECT_THROW(add(a, b), Error);
  const std::vector<int32_t> ids = {1, 2, 3};
  const Tensor i = Tensor::from(std::span<const int32_t>(ids), {3}, test_device());
  EXPECT_THROW(relu(i), Error);
  EXPECT_THROW(add(random_tensor({3}, 1), random_tensor({4}, 1)), Error);
}

}  // namespace
}  // namespace troupe::testing
