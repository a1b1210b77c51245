#include "core/ops/linear.h"

#include <gtest/gtest.h>

#include <numeric>

#include "core/base/error.h"
#include "core/ops/grouped_linear.h"
#include "core/ops/matmul.h"
#include "core/ops/view.h"
#include "tests/core/ops/gradient_check.h"
#include "tests/core/ops/parameters.h"
#include "tests/support/guarded_device.h"

namespace troupe::testing {
namespace {

std::unique_ptr<Parameter> parameter(const Shape& shape, uint64_t key, DType compute = DType::f64) {
  return random_parameter(shape, key, compute, test_device());
}

TEST(Matmul, Gradients) {
  const auto check = [](const Shape& a, const Shape& b, bool ta, bool tb) {
    expect_gradients([=](auto in) { return matmul(in[0], in[1], ta, tb); },
                     {random_tensor(a, 1), random_tensor(b, 2)});
  };
  check({1, 1}, {1, 1}, false, false);
  check({3, 5}, {5, 7}, false, false);
  check({5, 3}, {5, 7}, true, false);
  check({3, 5}, {7, 5}, false, true);
  check({5, 3}, {7, 5}, true, true);
  check({2, 3, 4}, {2, 4, 5}, false, false);
  check({2, 4, 3}, {2, 5, 4}, true, true);
}

TEST(Matmul, ViewsAndSizesOfZero) {
  expect_correct([](auto in) { return matmul(through_transpose(in[0]), in[1]); },
                 {random_tensor({5, 3}, 1), random_tensor({5, 2}, 2)});
  expect_correct([](auto in) { return matmul(through_cut(in[0]), through_transpose(in[1])); },
                 {random_tensor({3, 7}, 1), random_tensor({4, 5}, 2)});
  expect_correct([](auto in) { return matmul(through_expand(in[0], 4), in[1]); },
                 {random_tensor({1, 3, 5}, 1), random_tensor({4, 5, 2}, 2)});
  for (const auto& [a, b] : std::vector<std::pair<Shape, Shape>>{
           {{0, 3}, {3, 2}}, {{2, 0}, {0, 3}}, {{2, 3}, {3, 0}}, {{0, 2, 3}, {0, 3, 2}}}) {
    expect_correct([](auto in) { return matmul(in[0], in[1]); },
                   {random_tensor(a, 1), random_tensor(b, 2)});
  }
  EXPECT_EQ(matmul(random_tensor({2, 0}, 1), random_tensor({0, 2}, 2)).values(),
            (std::vector<double>{0, 0, 0, 0}));
  EXPECT_THROW(matmul(random_tensor({2, 3}, 1), random_tensor({2, 3}, 2)), Error);
}

TEST(Linear, Gradients) {
  for (const Shape& shape : std::vector<Shape>{{5}, {1, 1}, {3, 5}, {2, 3, 5}, {17, 3}, {130, 2}}) {
    const auto weight = parameter({4, shape[-1]}, 7);
    const auto bias = parameter({4}, 8);
    const Tensor x = random_tensor(shape, 1);
    expect_gradients([&](auto in) { return linear(in[0], *weight); }, {x});
    expect_gradients([&](auto in) { return linear(in[0], *weight, bias.get()); }, {x});
    expect_parameter_gradients([&] { return linear(x, *weight, bias.get()); },
                               {weight.get(), bias.get()});
  }
}

TEST(Linear, ViewsAndSizesOfZero) {
  const auto weight = parameter({4, 5}, 7);
  expect_correct([&](auto in) { return linear(through_transpose(in[0]), *weight); },
                 {random_tensor({5, 3}, 1)});
  expect_correct([&](auto in) { return linear(through_cut(in[0]), *weight); },
                 {random_tensor({3, 7}, 1)});
  const Tensor none = random_tensor({0, 5}, 1);
  expect_correct([&](auto in) { return linear(in[0], *weight); }, {none});
  EXPECT_LE(parameter_gradient_error([&] { return linear(none, *weight); }, {weight.get()}), 0);
  const auto no_inputs = parameter({4, 0}, 7);
  EXPECT_EQ(linear(random_tensor({1, 0}, 1), *no_inputs).values(), (std::vector<double>(4, 0.0)));
  EXPECT_THROW(linear(random_tensor({3, 4}, 1), *weight), Error);
}

TEST(Linear, UsedTwiceAddsItsGradients) {
  const auto weight = parameter({5, 5}, 7);
  const Tensor x = random_tensor({3, 5}, 1);
  EXPECT_LE(
      parameter_gradient_error([&] { return linear(linear(x, *weight), *weight); }, {weight.get()}),
      1e-7);
}

TEST(Linear, WeightGradientCanBePutOff) {
  const auto weight = parameter({4, 5}, 7);
  const Tensor x = random_tensor({3, 5}, 1);
  int ready = 0;
  weight->on_gradient_ready([&](Parameter&) { ++ready; });
  const Tensor out = linear(x, *weight);
  const Tensor seed = random_tensor({3, 4}, 2);
  WeightWork later = backward({&out, 1}, {&seed, 1}, Weights::defer);
  EXPECT_TRUE(weight->gradient_is_fresh());
  EXPECT_EQ(ready, 0);
  later.run();
  EXPECT_EQ(ready, 1);
  EXPECT_LE(relative_difference(matmul(seed, x, true), weight->gradient()), 1e-14);
}

using Counts = std::vector<int64_t>;

// The oracle: one product per expert.
Tensor by_expert(const Tensor& x, const Counts& counts, const Tensor& bank) {
  std::vector<Tensor> parts;
  int64_t row = 0;
  for (size_t e = 0; e < counts.size(); ++e) {
    const Tensor weight =
        reshape(narrow(bank, 0, static_cast<int64_t>(e), 1), {bank.dim(1), bank.dim(2)});
    parts.push_back(matmul(narrow(x, 0, row, counts[e]), weight, false, true));
    row += counts[e];
  }
  return concat(parts, 0);
}

const std::vector<Counts> kCounts = {{1}, {0}, {5}, {3, 0, 4}, {0, 0, 9}, {9, 0, 0}, {1, 17, 33}};

TEST(GroupedLinear, Gradients) {
  for (const Counts& counts : kCounts) {
    const int64_t total = std::accumulate(counts.begin(), counts.end(), int64_t{0});
    const auto bank = parameter({static_cast<int64_t>(counts.size()), 3, 2}, 7);
    const Tensor x = random_tensor({total, 2}, 1);
    const auto f = [&](auto in) { return grouped_linear(in[0], counts, *bank); };
    const auto g = [&] { return grouped_linear(x, counts, *bank); };
    if (total == 0) {
      expect_correct(f, {x});
      EXPECT_LE(parameter_gradient_error(g, {bank.get()}), 0);
    } else {
      expect_gradients(f, {x});
      expect_parameter_gradients(g, {bank.get()});
    }
  }
}

TEST(GroupedLinear, EqualsOneProductPerExpertInEveryType) {
  const Counts counts = {0, 150, 1, 0, 260, 64, 17};
  for (DType type : {DType::f64, DType::f32, DType::bf16}) {
    const double tolerance = type == DType::bf16 ? 1e-2 : type == DType::f32 ? 1e-5 : 1e-13;
    const auto bank = parameter({7, 128, 96}, 7, type);
    const Tensor x = cast(random_tensor({492, 96}, 1), type);
    const Tensor exact_bank = cast(bank->compute_value(), DType::f64);
    Tensor dx;
    Tensor exact_dx;
    const Tensor out = grouped_linear(leaf(x, [&](Tensor g) { dx = std::move(g); }), counts, *bank);
    Tensor exact_dw;
    const Tensor exact =
        by_expert(leaf(cast(x, DType::f64), [&](Tensor g) { exact_dx = std::move(g); }), counts,
                  leaf(exact_bank, [&](Tensor g) { exact_dw = std::move(g); }));
    EXPECT_LE(relative_difference(exact, out), tolerance) << name(type);
    const Tensor seed = cast(random_tensor({492, 128}, 3), type);
    const Tensor exact_seed = cast(seed, DType::f64);
    backward({&out, 1}, {&seed, 1});
    backward({&exact, 1}, {&exact_seed, 1});
    EXPECT_LE(relative_difference(exact_dx, dx), tolerance) << name(type);
    EXPECT_LE(relative_difference(exact_dw, bank->gradient()), tolerance) << name(type);
    EXPECT_EQ(bank->gradient().dtype(), wide(type));
  }
}

TEST(GroupedLinear, AddsToAGradientThatIsThere) {
  const Counts counts = {20, 0, 3};
  const auto bank = parameter({3, 4, 5}, 7);
  const Tensor x = random_tensor({23, 5}, 1);
  const Tensor seed = random_tensor({23, 4}, 2);
  std::vector<double> once;
  for (int pass = 0; pass < 2; ++pass) {
    const Tensor out = grouped_linear(x, counts, *bank);
    backward({&out, 1}, {&seed, 1});
    if (pass == 0) once = bank->gradient().values();
  }
  const std::vector<double> twice = bank->gradient().values();
  for (size_t i = 0; i < once.size(); ++i) EXPECT_NEAR(twice[i], 2 * once[i], 1e-12);
}

// Bits must not depend on the team.
TEST(Products, SameBitsWithOneTwoAndFourThreads) {
  const Counts counts = {100, 0, 7, 293};
  for (DType type : {DType::f64, DType::f32, DType::bf16}) {
    std::vector<std::vector<double>> results;
    for (int threads : {1, 2, 4}) {
      const auto device = testing::chosen_device(threads);
      const auto bank = random_parameter({4, 192, 64}, 7, type, device);
      const auto weight = random_parameter({64, 192}, 8, type, device);
      const Tensor values = random_tensor({400, 64}, 1);
      const Tensor x =
          cast(Tensor::from(values.values(), values.shape(), DType::f64, device), type);
      Tensor dx;
      const Tensor out = linear(
          grouped_linear(leaf(x, [&](Tensor g) { dx = std::move(g); }), counts, *bank), *weight);
      backward({&out, 1}, {&x, 1});
      std::vector<double> all;
      for (const Tensor& part : {out, dx, bank->gradient(), weight->gradient()}) {
        for (double value : part.values()) all.push_back(value);
      }
      results.push_back(std::move(all));
    }
    EXPECT_EQ(results[0], results[1]) << name(type);
    EXPECT_EQ(results[0], results[2]) << name(type);
  }
}

}  // namespace
}  // namespace troupe::testing
