#include "core/ops/norm.h"

#include <gtest/gtest.h>

#include "core/autograd/tape.h"
#include "core/base/error.h"
#include "core/ops/activation.h"
#include "core/ops/arithmetic.h"
#include "core/ops/reduce.h"
#include "core/ops/view.h"
#include "tests/core/ops/gradient_check.h"

namespace troupe::testing {
namespace {

constexpr double kEps = 1e-5;

const std::vector<Shape> kShapes = {{0, 3}, {1, 7}, {3, 5}, {2, 3, 1, 5}, {5}};

TEST(RmsNorm, Gradients) {
  for (const Shape& shape : kShapes) {
    const auto w = random_parameter({shape[-1]}, 2);
    const Tensor x = random_tensor(shape, 1);
    expect_gradients([&](auto in) { return rms_norm(in[0], *w, kEps); }, {x});
    if (shape.elements() > 0) {
      expect_parameter_gradients([&] { return rms_norm(x, *w, kEps); }, {w.get()});
    }
  }
  const auto w = random_parameter({3}, 2);
  expect_correct([&](auto in) { return rms_norm(through_transpose(in[0]), *w, kEps); },
                 {random_tensor({3, 5}, 1)});
  expect_correct([&](auto in) { return rms_norm(through_expand(in[0], 4), *w, kEps); },
                 {random_tensor({1, 3}, 1)});
}

TEST(LayerNorm, Gradients) {
  for (const Shape& shape : kShapes) {
    const auto w = random_parameter({shape[-1]}, 2);
    const auto b = random_parameter({shape[-1]}, 3);
    const Tensor x = random_tensor(shape, 1);
    expect_gradients([&](auto in) { return layer_norm(in[0], *w, *b, kEps); }, {x});
    if (shape.elements() > 0) {
      expect_parameter_gradients([&] { return layer_norm(x, *w, *b, kEps); }, {w.get(), b.get()});
    }
  }
  const auto w = random_parameter({3}, 2);
  const auto b = random_parameter({3}, 3);
  expect_correct([&](auto in) { return layer_norm(through_transpose(in[0]), *w, *b, kEps); },
                 {random_tensor({3, 5}, 1)});
}

Tensor rms_by_parts(const Tensor& x, const Tensor& w) {
  return mul(div(x, sqrt(affine(mean(square(x), -1, true), 1, kEps))), w);
}

Tensor layer_by_parts(const Tensor& x, const Tensor& w, const Tensor& b) {
  const Tensor centred = sub(x, mean(x, -1, true));
  return add(mul(div(centred, sqrt(affine(mean(square(centred), -1, true), 1, kEps))), w), b);
}

TEST(Norms, EqualTheirPartsInEveryType) {
  const Tensor x = random_tensor({70, 129}, 1, 2.0, 0.5, DType::bf16);
  const auto exact = cast(x, DType::f64);
  for (const auto& [dtype, tolerance] :
       {std::pair(DType::f64, 1e-13), std::pair(DType::f32, 1e-6), std::pair(DType::bf16, 8e-3)}) {
    const auto w = random_parameter({129}, 2, dtype);
    const auto b = random_parameter({129}, 3, dtype);
    const Tensor wide_w = cast(w->value(), DType::f64);
    const Tensor wide_b = cast(b->value(), DType::f64);
    const Tensor in = cast(x, dtype);
    EXPECT_LE(relative_difference(rms_by_parts(exact, wide_w), rms_norm(in, *w, kEps)), tolerance);
    EXPECT_LE(
        relative_difference(layer_by_parts(exact, wide_w, wide_b), layer_norm(in, *w, *b, kEps)),
        tolerance);
  }
}

// Main gradients of w after backward of rms_norm(x) with dy = 1, on a device with some threads.
TEST(Norms, NarrowGradientsFollowF64) {
  const Tensor x = random_tensor({700, 33}, 1, 2.0, 0.5, DType::bf16);
  const auto run = [&](DType dtype) {
    const auto w = random_parameter({33}, 2, dtype);
    Tensor dx;
    const Tensor out =
        rms_norm(leaf(cast(x, dtype), [&](Tensor g) { dx = std::move(g); }), *w, kEps);
    const Tensor seed = cast(x, dtype);
    backward(std::span<const Tensor>(&out, 1), std::span<const Tensor>(&seed, 1));
    return std::pair(dx, w->gradient());
  };
  const auto [dx, dw] = run(DType::f64);
  const auto [dx32, dw32] = run(DType::f32);
  const auto [dx16, dw16] = run(DType::bf16);
  EXPECT_LE(relative_difference(dx, dx32), 2e-6);
  EXPECT_LE(relative_difference(dw, dw32), 2e-6);
  EXPECT_LE(relative_difference(dx, dx16), 8e-3);
  EXPECT_LE(relative_difference(dw, dw16), 2e-6);  // sums in f32 from the same bf16 values
  EXPECT_EQ(dw16.dtype(), DType::f32);
}

TEST(Norms, GradientsAccumulateOverMicroBatches) {
  const auto w = random_parameter({5}, 2);
  const Tensor a = random_tensor({3, 5}, 1);
  const Tensor b = random_tensor({4, 5}, 2);
  const auto pass = [&](const Tensor& x) { backward(sum(rms_norm(x, *w, kEps))); };
  pass(a);
  pass(b);
  const std::vector<double> both = w->gradient().values();
  w->zero_gradient();
  const std::vector<Tensor> parts = {a, b};
  pass(concat(parts, 0));
  const std::vector<double> whole = w->gradient().values();
  for (size_t i = 0; i < whole.size(); ++i) EXPECT_NEAR(both[i], whole[i], 1e-12);
}

TEST(Norms, RefuseAWeightOfAnotherSize) {
  const auto w = random_parameter({4}, 2);
  EXPECT_THROW(rms_norm(random_tensor({3, 5}, 1), *w, kEps), Error);
}

}  // namespace
}  // namespace troupe::testing
