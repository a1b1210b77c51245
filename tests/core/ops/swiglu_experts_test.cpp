#include "core/ops/swiglu_experts.h"

#include <gtest/gtest.h>

#include <numeric>
#include <thread>

#include "core/base/error.h"
#include "core/ops/activation.h"
#include "core/ops/arithmetic.h"
#include "core/ops/grouped_linear.h"
#include "core/ops/linear.h"
#include "core/ops/view.h"
#include "tests/core/ops/gradient_check.h"
#include "tests/core/ops/parameters.h"
#include "tests/support/guarded_device.h"

namespace troupe::testing {
namespace {

using Counts = std::vector<int64_t>;

struct Experts {
  std::unique_ptr<Parameter> gate_up;
  std::unique_ptr<Parameter> down;
};

Experts experts(int64_t count, int64_t d, int64_t f, DType compute = DType::f64,
                const std::shared_ptr<Device>& device = test_device()) {
  return {random_parameter({count, 2 * f, d}, 7, compute, device, 0.5),
          random_parameter({count, d, f}, 8, compute, device, 0.5)};
}

int64_t total(const Counts& counts) {
  return std::accumulate(counts.begin(), counts.end(), int64_t{0});
}

// The oracle: the same function composed of other ops.
Tensor composite(const Tensor& x, const Counts& counts, const Tensor& gate_weight, Parameter& up,
                 Parameter& down) {
  const Tensor hidden = grouped_linear(x, counts, up);
  const int64_t f = hidden.dim(1) / 2;
  Tensor activated = mul(silu(narrow(hidden, 1, 0, f)), narrow(hidden, 1, f, f));
  if (gate_weight.defined()) {
    activated = mul(activated, cast(reshape(gate_weight, {x.dim(0), 1}), x.dtype()));
  }
  return grouped_linear(activated, counts, down);
}

const std::vector<Counts> kCounts = {{1}, {5}, {3, 0, 4}, {0, 0, 9}, {9, 0, 0}, {1, 17, 33}};

TEST(SwigluExperts, Gradients) {
  for (const Counts& counts : kCounts) {
    const Experts e = experts(static_cast<int64_t>(counts.size()), 3, 2);
    const Tensor x = random_tensor({total(counts), 3}, 1);
    const Tensor gate = random_tensor({total(counts)}, 2);
    expect_gradients(
        [&](auto in) { return swiglu_experts(in[0], counts, in[1], *e.gate_up, *e.down); },
        {x, gate}, 1e-6);
    expect_correct([&](auto in) { return swiglu_experts(in[0], counts, {}, *e.gate_up, *e.down); },
                   {x}, 1e-6);
    const std::vector<Parameter*> weights{e.gate_up.get(), e.down.get()};
    const auto f = [&] { return swiglu_experts(x, counts, gate, *e.gate_up, *e.down); };
    EXPECT_LE(parameter_gradient_error(f, weights), 1e-6);
    // Both halves of backward read the output gradient in the input half.
    const auto doubled = [&] {
      Tensor out = f();
      if (out.node()) {
        out.node()->input_gradient = [inner = out.node()->input_gradient](const Tensor& dy,
                                                                          InputGradients& in) {
          inner(Tensor::from(add(dy, dy).values(), dy.shape(), dy.dtype(), dy.device()), in);
        };
      }
      return out;
    };
    EXPECT_GT(parameter_gradient_error(doubled, weights), 1e-4);
  }
}

TEST(SwigluExperts, WithoutRows) {
  const Experts e = experts(2, 3, 2);
  const Counts counts = {0, 0};
  const Tensor x = random_tensor({0, 3}, 1);
  expect_correct([&](auto in) { return swiglu_experts(in[0], counts, in[1], *e.gate_up, *e.down); },
                 {x, random_tensor({0}, 2)});
  EXPECT_LE(
      parameter_gradient_error([&] { return swiglu_experts(x, counts, {}, *e.gate_up, *e.down); },
                               {e.gate_up.get(), e.down.get()}),
      0);
  EXPECT_THROW(swiglu_experts(random_tensor({1, 3}, 1), counts, {}, *e.gate_up, *e.down), Error);
  EXPECT_THROW(swiglu_experts(x, Counts{0}, {}, *e.gate_up, *e.down), Error);
}

struct Result {
  Tensor y, dx, dgate, dup, ddown;
};

template <typename F>
Result run(F f, const Experts& e, const Tensor& x, const Tensor& gate, const Tensor& seed) {
  Result out;
  e.gate_up->zero_gradient();
  e.down->zero_gradient();
  out.y = f(leaf(x, [&](Tensor g) { out.dx = std::move(g); }),
            leaf(gate, [&](Tensor g) { out.dgate = std::move(g); }));
  backward({&out.y, 1}, {&seed, 1});
  const auto copy = [](const Tensor& t) {
    return Tensor::from(t.values(), t.shape(), DType::f64, t.device());
  };
  out.dup = copy(e.gate_up->gradient());
  out.ddown = copy(e.down->gradient());
  return out;
}

TEST(SwigluExperts, EqualsItsCompositeFormInEveryType) {
  const std::vector<Counts> all = {{0, 150, 1, 0, 260, 64, 17}, {0, 0, 300, 0, 0, 0, 0}};
  for (const Counts& counts : all) {
    const int64_t rows = total(counts);
    const Experts exact_experts = experts(7, 64, 96);
    for (DType type : {DType::f64, DType::f32, DType::bf16}) {
      const Tensor x = cast(random_tensor({rows, 64}, 1), type);
      const Tensor gate = cast(random_tensor({rows}, 2), wide(type));
      const Tensor seed = cast(random_tensor({rows, 64}, 3), type);
      const auto exact = run(
          [&](const Tensor& a, const Tensor& g) {
            return composite(a, counts, g, *exact_experts.gate_up, *exact_experts.down);
          },
          exact_experts, cast(x, DType::f64), cast(gate, DType::f64), cast(seed, DType::f64));
      const Experts e = experts(7, 64, 96, type);
      const auto fused =
          run([&](const Tensor& a,
                  const Tensor& g) { return swiglu_experts(a, counts, g, *e.gate_up, *e.down); },
              e, x, gate, seed);
      const double tolerance = type == DType::bf16 ? 2.5e-2 : type == DType::f32 ? 1e-5 : 1e-13;
      EXPECT_LE(relative_difference(exact.y, fused.y), tolerance) << name(type);
      EXPECT_LE(relative_difference(exact.dx, fused.dx), tolerance) << name(type);
      EXPECT_LE(relative_difference(exact.dgate, fused.dgate), tolerance) << name(type);
      EXPECT_LE(relative_difference(exact.dup, fused.dup), tolerance) << name(type);
      EXPECT_LE(relative_difference(exact.ddown, fused.ddown), tolerance) << name(type);
      NoGrad no_grad;
      const Tensor again = swiglu_experts(x, counts, gate, *e.gate_up, *e.down);
      EXPECT_EQ(again.values(), fused.y.values()) << "without gradients, " << name(type);
    }
  }
}

TEST(SwigluExperts, OneExpertIsTheDenseFeedForward) {
  const Counts counts = {35};
  const Experts e = experts(1, 6, 5);
  const auto gate_up = random_parameter({10, 6}, 7, DType::f64, test_device(), 0.5);
  const auto down = random_parameter({6, 5}, 8, DType::f64, test_device(), 0.5);
  const Tensor x = random_tensor({35, 6}, 1);
  EXPECT_EQ(swiglu_experts(x, counts, {}, *e.gate_up, *e.down).values(),
            swiglu_feed_forward(reshape(x, {5, 7, 6}), *gate_up, *down).values());
  const auto dense = [&](auto in) { return swiglu_feed_forward(in[0], *gate_up, *down); };
  EXPECT_EQ(dense(std::vector<Tensor>{reshape(x, {5, 7, 6})}).shape(), Shape({5, 7, 6}));
  expect_correct(dense, {random_tensor({2, 2, 6}, 1)}, 1e-6);
  expect_correct([&](auto in) { return dense(std::vector<Tensor>{through_transpose(in[0])}); },
                 {random_tensor({6, 3}, 1)}, 1e-6);
}

TEST(SwigluExperts, WeightGradientsCanBePutOff) {
  const Counts counts = {3, 4};
  const Experts now = experts(2, 3, 2);
  const Experts later = experts(2, 3, 2);
  const Tensor x = random_tensor({7, 3}, 1);
  const Tensor a = swiglu_experts(x, counts, {}, *now.gate_up, *now.down);
  backward({&a, 1}, {&x, 1});
  const Tensor b = swiglu_experts(x, counts, {}, *later.gate_up, *later.down);
  WeightWork work = backward({&b, 1}, {&x, 1}, Weights::defer);
  EXPECT_TRUE(later.gate_up->gradient_is_fresh());
  work.run();
  EXPECT_EQ(later.gate_up->gradient().values(), now.gate_up->gradient().values());
  EXPECT_EQ(later.down->gradient().values(), now.down->gradient().values());
}

TEST(SwigluExperts, SameBitsWithOneTwoAndFourThreads) {
  const Counts counts = {100, 0, 7, 293};
  for (DType type : {DType::f64, DType::f32, DType::bf16}) {
    std::vector<std::vector<double>> results;
    for (int threads : {1, 2, 4}) {
      const auto device = testing::chosen_device(threads);
      const Experts e = experts(4, 128, 64, type, device);
      const auto on_device = [&](const Shape& shape, uint64_t key, DType dtype) {
        return cast(Tensor::from(random_tensor(shape, key).values(), shape, DType::f64, device),
                    dtype);
      };
      const Tensor x = on_device({400, 128}, 1, type);
      const auto result =
          run([&](const Tensor& a,
                  const Tensor& g) { return swiglu_experts(a, counts, g, *e.gate_up, *e.down); },
              e, x, on_device({400}, 2, wide(type)), x);
      std::vector<double> all;
      for (const Tensor& part : {result.y, result.dx, result.dgate, result.dup, result.ddown}) {
        for (double value : part.values()) all.push_back(value);
      }
      results.push_back(std::move(all));
    }
    EXPECT_EQ(results[0], results[1]) << name(type);
    EXPECT_EQ(results[0], results[2]) << name(type);
  }
}

// Ranks may be threads of one process, each with its own device.
TEST(SwigluExperts, SameBitsOnRanksThatAreThreads) {
  const Counts counts = {100, 0, 7, 40};
  std::vector<std::vector<double>> results(3);
  std::vector<std::thread> ranks;
  const std::vector<double> x_values = random_tensor({147, 64}, 1).values();
  for (auto& result : results) {
    ranks.emplace_back([&] {
      const auto device = testing::chosen_device(1);
      const Experts e = experts(4, 64, 64, DType::f32, device);
      for (int step = 0; step < 3; ++step) {
        const Tensor x = Tensor::from(x_values, {147, 64}, DType::f32, device);
        const Tensor y = swiglu_experts(x, counts, {}, *e.gate_up, *e.down);
        backward({&y, 1}, {&x, 1});
      }
      result = e.gate_up->gradient().values();
    });
  }
  for (std::thread& rank : ranks) rank.join();
  EXPECT_EQ(results[0], results[1]);
  EXPECT_EQ(results[0], results[2]);
}

}  // namespace
}  // namespace troupe::testing
