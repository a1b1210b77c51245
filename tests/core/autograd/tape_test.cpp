#include "core/autograd/tape.h"

#include <gtest/gtest.h>

#include "core/base/error.h"
#include "core/ops/activation.h"
#include "core/ops/arithmetic.h"
#include "core/ops/norm.h"
#include "core/ops/reduce.h"
#include "core/ops/view.h"

namespace troupe {
namespace {

const std::shared_ptr<Device>& device() {
  static const std::shared_ptr<Device> cpu = Device::cpu(2);
  return cpu;
}

Tensor vector(std::vector<double> values) {
  return Tensor::from(values, {static_cast<int64_t>(values.size())}, DType::f64, device());
}

std::unique_ptr<Parameter> weight(int64_t size) {
  auto parameter = std::make_unique<Parameter>(
      "w", Layout::replicated({size}, MeshKind::attention, {}), Box{{0}, {size}}, DType::f64,
      Init{Init::Kind::constant, 0.5}, false, device());
  parameter->initialize(1);
  return parameter;
}

// A leaf that puts its gradient into `to`.
Tensor watched(const Tensor& value, Tensor& to) {
  return leaf(value, [&to](Tensor gradient) { to = std::move(gradient); });
}

std::string message_of(const std::function<void()>& f) {
  try {
    f();
  } catch (const Error& error) {
    return error.what();
  }
  return "";
}

TEST(Backward, AddsUpSeveralUsesOfAValue) {
  Tensor g;
  const Tensor x = watched(vector({2, 3}), g);
  const Tensor y = mul(x, x);        // 2x
  backward(sum(add(add(y, y), x)));  // 4x + 1
  EXPECT_EQ(g.values(), (std::vector<double>{9, 13}));
}

TEST(Backward, ADiamondRunsEachNodeOnce) {
  Tensor g;
  Tensor x = watched(vector({1}), g);
  for (int i = 0; i < 40; ++i) x = add(x, x);  // 2^40 paths
  backward(x);
  EXPECT_EQ(g.item(), 0x1p40);
}

TEST(Backward, SharedGradientsAreNotOverwritten) {
  // add passes one gradient on to both inputs; summing into one must leave the other alone.
  Tensor ga;
  Tensor gb;
  const Tensor a = watched(vector({1}), ga);
  const Tensor b = watched(vector({1}), gb);
  const Tensor y = add(a, b);
  backward(sum(add(y, scale(a, 10))));
  EXPECT_EQ(ga.item(), 11);
  EXPECT_EQ(gb.item(), 1);
}

TEST(Backward, TakesSeveralRootsWithSeeds) {
  Tensor g;
  const Tensor x = watched(vector({1, 2}), g);
  const std::vector<Tensor> roots = {scale(x, 3), sum(square(x))};
  const std::vector<Tensor> seeds = {vector({1, 10}), Tensor()};
  backward(roots, seeds);
  EXPECT_EQ(g.values(), (std::vector<double>{3 + 2, 30 + 4}));
}

TEST(Backward, ARootMayFeedAnother) {
  Tensor g;
  const Tensor x = watched(vector({1}), g);
  const Tensor y = scale(x, 2);
  const std::vector<Tensor> roots = {y, scale(y, 5)};
  backward(roots, {});
  EXPECT_EQ(g.item(), 12);
}

TEST(Backward, RefusesASecondPassAndAMissingSeed) {
  Tensor g;
  const Tensor x = watched(vector({1, 2}), g);
  const Tensor y = sum(square(x));
  backward(y);
  EXPECT_NE(message_of([&] { backward(y); }).find("a second time"), std::string::npos);
  const Tensor z = square(x);
  EXPECT_NE(message_of([&] { backward(z); }).find("needs a seed"), std::string::npos);
}

TEST(Backward, WithoutATapeDoesNothing) { EXPECT_NO_THROW(backward(sum(vector({1, 2})))); }

TEST(Backward, GoesThroughAHundredThousandNodes) {
  Tensor g;
  {
    Tensor x = watched(vector({1}), g);
    for (int i = 0; i < 100000; ++i) x = affine(x, 1, 0.5);
    backward(x);
  }
  EXPECT_EQ(g.item(), 1);
  Tensor unused = watched(vector({1}), g);  // freeing a deep tape that was never run
  for (int i = 0; i < 100000; ++i) unused = affine(unused, 1, 0);
}

TEST(Backward, FreesSavedValuesOnTheWay) {
  const auto own = Device::cpu();
  const std::vector<double> ones(1000, 1.0);
  Tensor root;
  {
    Tensor x = leaf(Tensor::from(ones, {1000}, DType::f64, own), [](Tensor) {});
    for (int i = 0; i < 10; ++i) x = sigmoid(x);
    root = sum(x);
  }
  const int64_t before = own->memory().total.current;
  EXPECT_GE(before, 10 * 8000);
  backward(root);
  EXPECT_LE(own->memory().total.current, 1024);  // the root alone
}

TEST(GradMode, NoGradRecordsNothingAndNests) {
  Tensor g;
  const Tensor x = watched(vector({1}), g);
  {
    NoGrad outer;
    {
      NoGrad inner;
      EXPECT_FALSE(square(x).needs_gradient());
    }
    EXPECT_FALSE(grad_enabled());
    EXPECT_FALSE(square(x).needs_gradient());
  }
  EXPECT_TRUE(square(x).needs_gradient());
  EXPECT_FALSE(square(x.detach()).needs_gradient());
}

TEST(GradMode, DetachStopsTheGradient) {
  Tensor g;
  const Tensor x = watched(vector({3}), g);
  backward(sum(mul(x, square(x).detach())));  // x^2 as a constant
  EXPECT_EQ(g.item(), 9);
}

TEST(InPlace, IsRefusedOnTheTapeAndNoticedByBackward) {
  Tensor g;
  Tensor x = watched(vector({1, 2}), g);
  EXPECT_NE(message_of([&] {
              add_in_place(x, vector({1, 1}));
            }).find("carries a gradient"),
            std::string::npos);
  Tensor saved = vector({5, 6});
  const Tensor y = sum(mul(x, saved));
  add_in_place(saved, vector({1, 1}));
  EXPECT_EQ(saved.values(), (std::vector<double>{6, 7}));
  EXPECT_NE(message_of([&] { backward(y); }).find("written in place"), std::string::npos);
}

TEST(Backward, RefusesASeedOfAnotherDevice) {
  const Tensor y = relu(leaf(vector({1, 2}), [](Tensor) {}));
  const Tensor seed = Tensor::zeros({2}, DType::f64, Device::cpu());
  const auto backward_from = [&](const Tensor& gradient) {
    backward(std::span<const Tensor>(&y, 1), std::span<const Tensor>(&gradient, 1));
  };
  EXPECT_NE(message_of([&] { backward_from(seed); }).find("another device"), std::string::npos);
  backward_from(Tensor::zeros({2}, DType::f64, y.device()));
}

TEST(Weights, CanBeDeferred) {
  const auto w = weight(2);
  Tensor g;
  const Tensor x = watched(vector({3, 4}), g);
  const Tensor y = sum(rms_norm(x, *w, 1e-5));
  WeightWork later = backward(std::span<const Tensor>(&y, 1), {}, Weights::defer);
  EXPECT_TRUE(g.defined());
  EXPECT_TRUE(w->gradient_is_fresh());
  EXPECT_FALSE(later.empty());
  later.run();
  EXPECT_TRUE(later.empty());
  EXPECT_FALSE(w->gradient_is_fresh());
  const std::vector<double> deferred = w->gradient().values();
  w->zero_gradient();
  backward(sum(rms_norm(x, *w, 1e-5)));
  EXPECT_EQ(deferred, w->gradient().values());
}

// y = w2 norm(w1 norm(x)) with both blocks of the same parameter's kind.
struct TwoBlocks {
  std::unique_ptr<Parameter> a = weight(3);
  std::unique_ptr<Parameter> b = weight(3);
  Tensor operator()(const Tensor& x, bool again) const {
    const auto block = [this](std::span<const Tensor> in) {
      return silu(rms_norm(mul(rms_norm(in[0], *a, 1e-5), in[0]), *b, 1e-5));
    };
    const std::vector<Tensor> in = {x};
    return again ? recompute(block, in) : block(in);
  }
};

TEST(Recompute, GivesTheSameBitsAndParameterGradients) {
  const TwoBlocks f;
  const auto run = [&](bool again) {
    f.a->zero_gradient();
    f.b->zero_gradient();
    Tensor g;
    const Tensor x = watched(reshape(vector({1, -2, 3, 0.5, 2, 1}), {2, 3}), g);
    const Tensor y = sum(f(f(x, again), again));
    const double value = y.item();
    backward(y);
    return std::vector<std::vector<double>>{
        {value}, g.values(), f.a->gradient().values(), f.b->gradient().values()};
  };
  EXPECT_EQ(run(false), run(true));
}

TEST(Recompute, OfABlockWhoseInputNeedsNoGradient) {
  const TwoBlocks f;
  backward(sum(f(vector({1, 2, 3}), true)));
  const std::vector<double> again = f.a->gradient().values();
  f.a->zero_gradient();
  backward(sum(f(vector({1, 2, 3}), false)));
  EXPECT_EQ(again, f.a->gradient().values());
}

TEST(Recompute, KeepsNoActivationsOfTheBlock) {
  const auto own = Device::cpu();
  const std::vector<double> ones(1000, 1.0);
  const auto deep = [](std::span<const Tensor> in) {
    Tensor x = in[0];
    for (int i = 0; i < 10; ++i) x = sigmoid(x);
    return x;
  };
  const Tensor x = leaf(Tensor::from(ones, {1000}, DType::f64, own), [](Tensor) {});
  const std::vector<Tensor> in = {x};
  const int64_t before = own->memory().total.current;
  const Tensor y = recompute(deep, in);
  EXPECT_LE(own->memory().total.current - before, 2 * 8192 + 1024);  // y alone
}

TEST(Recompute, AnnouncesEachUseOnce) {
  const TwoBlocks f;
  int ready_a = 0;
  int ready_b = 0;
  f.a->on_gradient_ready([&](Parameter&) { ++ready_a; });
  f.b->on_gradient_ready([&](Parameter&) { ++ready_b; });
  Tensor g;
  const Tensor x = watched(vector({1, 2, 3}), g);
  // Three uses of each parameter, one of them outside a recomputed block: the sink is told once.
  const Tensor y = sum(f(f(f(x, true), false), true));
  backward(y);
  EXPECT_EQ(ready_a, 1);
  EXPECT_EQ(ready_b, 1);
}

TEST(Recompute, Nests) {
  const TwoBlocks f;
  const auto run = [&](bool again) {
    f.a->zero_gradient();
    f.b->zero_gradient();
    int ready = 0;
    f.a->on_gradient_ready([&](Parameter&) { ++ready; });
    Tensor g;
    const std::vector<Tensor> in = {watched(vector({1, -2, 3}), g)};
    const auto outer = [&](std::span<const Tensor> x) { return f(f(x[0], again), again); };
    const Tensor y = sum(again ? recompute(outer, in) : outer(in));
    backward(y);
    EXPECT_EQ(ready, 1);
    return std::vector<std::vector<double>>{g.values(), f.a->gradient().values()};
  };
  EXPECT_EQ(run(false), run(true));
}

TEST(Recompute, LeavesTheGradModeAloneWhenTheBlockThrows) {
  const std::vector<Tensor> in = {vector({1})};
  EXPECT_THROW(
      recompute([](std::span<const Tensor>) -> Tensor { fail(ExitCode::numbers, "no"); }, in),
      Error);
  EXPECT_TRUE(grad_enabled());
}

TEST(Record, ChecksTheGradientThatAnOpGives) {
  Tensor g;
  const Tensor x = watched(vector({1, 2}), g);
  const auto wrong = [&](Tensor gradient) {
    return record(Operator("wrong", x.stream()), vector({1, 2}), {x},
                  [gradient](const Tensor&, InputGradients& inputs) { inputs.add(0, gradient); });
  };
  EXPECT_NE(message_of([&] { backward(sum(wrong(vector({1})))); }).find("gradient of leaf"),
            std::string::npos);
  const auto silent = record(Operator("silent", x.stream()), vector({1, 2}), {square(x)},
                             [](const Tensor&, InputGradients&) {});
  EXPECT_NE(message_of([&] { backward(sum(silent)); }).find("no gradient reached"),
            std::string::npos);
}

// The hook below a value runs after all that was made from it, the hook above before.
TEST(Tape, HooksRunWhereBackwardComesThrough) {
  const auto device = Device::cpu();
  std::vector<std::string> order;
  const auto note = [&order](const std::string& what) {
    return [&order, what] { order.push_back(what); };
  };
  double received = 0;
  const Tensor x = leaf(Tensor::full({1}, DType::f64, 3.0, device),
                        [&](const Tensor& gradient) { received = gradient.item(); });
  const Tensor below = on_backward("below", x, note("below"));
  const auto twice = [&](const char* what) {
    return record(Operator(what, device->stream()), Tensor::full({1}, DType::f64, 6.0, device),
                  {below}, [&order, what](const Tensor& gradient, InputGradients& inputs) {
                    order.emplace_back(what);
                    inputs.add(0, gradient);
                  });
  };
  const Tensor a = twice("a");
  const Tensor b =
      record(Operator("b", device->stream()), Tensor::full({1}, DType::f64, 12.0, device),
             {a, below}, [&](const Tensor& gradient, InputGradients& inputs) {
               order.emplace_back("b");
               inputs.add(0, gradient);
               inputs.add(1, gradient);
             });
  const Tensor above = on_backward("above", b, note("above"));
  EXPECT_EQ(above.item(), 12.0);
  backward(above);
  EXPECT_EQ(order, (std::vector<std::string>{"above", "b", "a", "below"}));
  EXPECT_EQ(received, 2.0);
  NoGrad no_grad;
  EXPECT_FALSE(on_backward("none", x, note("none")).needs_gradient());
}

}  // namespace
}  // namespace troupe
