#include "core/ops/wide_linear.h"

#include <gtest/gtest.h>

#include "core/autograd/tape.h"
#include "core/base/error.h"
#include "core/ops/linear.h"
#include "core/ops/view.h"
#include "tests/core/ops/gradient_check.h"

namespace troupe::testing {
namespace {

struct Types {
  DType narrow, wide;
  double tolerance;  // of sums in the wide type
};
constexpr Types kTypes[] = {{DType::bf16, DType::f32, 1e-5},
                            {DType::f32, DType::f64, 1e-13},
                            {DType::bf16, DType::f64, 1e-13}};

struct Result {
  Tensor y, dx, dw;
};

using Form = std::function<Tensor(const Tensor&)>;

// y and the gradients of a random linear function of it, through `form` of x.
Result run(const std::function<Tensor(const Tensor&, Parameter&)>& op, const Tensor& x,
           const Form& form, int64_t outputs, DType wide, int uses = 1) {
  Result out;
  const Tensor in = leaf(x, [&](Tensor g) { out.dx = std::move(g); });
  const Tensor rows = form(in);
  const auto weight = random_parameter({outputs, rows.dim(-1)}, 7, wide);
  for (int use = 0; use < uses; ++use) {
    out.y = op(rows, *weight);
    const Tensor seed = cast(random_tensor(out.y.shape(), 3), wide);
    backward({&out.y, 1}, {&seed, 1});
  }
  out.dw = weight->gradient();
  return out;
}

// The oracle: x held in the wide type.
Tensor widened(const Tensor& x, Parameter& weight) {
  return linear(cast(x, weight.compute()), weight);
}

void expect_like_widened(const Shape& shape, int64_t outputs, const Form& form, int uses = 1) {
  for (const Types& types : kTypes) {
    const Tensor x = cast(random_tensor(shape, 1), types.narrow);
    const Result got = run(wide_linear, x, form, outputs, types.wide, uses);
    const Result expected = run(widened, x, form, outputs, types.wide, uses);
    EXPECT_EQ(got.y.dtype(), types.wide);
    EXPECT_EQ(got.dx.dtype(), types.narrow);
    EXPECT_EQ(got.y.shape(), expected.y.shape());
    EXPECT_LE(relative_difference(expected.y, got.y), types.tolerance) << shape.text();
    EXPECT_LE(relative_difference(expected.dw, got.dw), types.tolerance) << shape.text();
    // Rounded to the narrow type: sums in another order may round to the neighbour.
    EXPECT_LE(relative_difference(expected.dx, got.dx), types.narrow == DType::bf16 ? 4e-3 : 1e-7)
        << shape.text();
  }
}

TEST(WideLinear, IsTheProductOfTheWidenedRows) {
  const Form as_it_is = [](const Tensor& x) { return x; };
  for (const Shape& shape :
       std::vector<Shape>{{5}, {1, 1}, {3, 5}, {2, 3, 5}, {17, 64}, {128, 65}, {300, 130}}) {
    for (const int64_t outputs : {1, 3, 64}) expect_like_widened(shape, outputs, as_it_is);
  }
  expect_like_widened({5, 3}, 4, [](const Tensor& x) { return through_transpose(x); });
  expect_like_widened({4, 9}, 4, [](const Tensor& x) { return through_cut(x); });
  expect_like_widened({1, 9}, 4, [](const Tensor& x) { return through_expand(x, 140); });
}

TEST(WideLinear, ASecondUseAddsItsWeightGradient) {
  expect_like_widened(
      {150, 70}, 6, [](const Tensor& x) { return x; }, 2);
}

TEST(WideLinear, SizesOfZero) {
  for (const Types& types : kTypes) {
    const Result none = run(
        wide_linear, cast(random_tensor({0, 5}, 1), types.narrow),
        [](const Tensor& x) { return x; }, 4, types.wide);
    EXPECT_EQ(none.y.shape(), (Shape{0, 4}));
    EXPECT_EQ(none.dw.values(), std::vector<double>(20, 0.0));
    const auto no_inputs = random_parameter({4, 0}, 7, types.wide);
    EXPECT_EQ(wide_linear(cast(random_tensor({1, 0}, 1), types.narrow), *no_inputs).values(),
              (std::vector<double>(4, 0.0)));
  }
}

TEST(WideLinear, RowsOfTheSameTypeAreAnOrdinaryProduct) {
  const auto weight = random_parameter({4, 5}, 7, DType::f64);
  expect_gradients([&](auto in) { return wide_linear(in[0], *weight); },
                   {random_tensor({3, 5}, 1)});
}

TEST(WideLinear, WrongShapesAndTypesAreRefused) {
  const auto weight = random_parameter({4, 5}, 7, DType::f32);
  EXPECT_THROW(wide_linear(cast(random_tensor({3, 4}, 1), DType::bf16), *weight), Error);
  EXPECT_THROW(wide_linear(random_tensor({3, 5}, 1), *weight), Error);  // f64 is no narrower type
}

}  // namespace
}  // namespace troupe::testing
