// What one layer keeps between steps: selection bias, loads of the batch, and what must leave them
// alone.
#include "moe/layer/moe_layer.h"

#include <gtest/gtest.h>

#include <numeric>

#include "core/autograd/tape.h"
#include "core/base/error.h"
#include "tests/moe/layer/one_layer.h"
#include "tests/moe/support.h"

namespace troupe {
namespace {

using testing::difference;
using testing::layer_case;
using testing::LayerCase;
using testing::LayerRun;
using testing::OneLayer;
using testing::run_layer;
using testing::set_capacity;
using testing::set_option;
using testing::terms;

const std::string kRouters[] = {"topk", "switch", "st_moe", "hash", "expert_choice", "smile"};

// The state is moved by after_step alone: not by forward, evaluation or replay.
TEST(MoELayer, ForwardAndEvaluationChangeNoState) {
  LayerCase given = layer_case("topk");
  set_option(given, "bias_update", 0.01);
  given.inputs.config.balance = {{"switch", 0.1, BalanceScope::global_batch}};
  OneLayer one(given.inputs);
  const MoEOutput first = one.layer.forward(given.x, given.batch);
  const auto before = one.state();
  given.batch.training = false;
  const MoEOutput evaluated = one.layer.forward(given.x, given.batch);
  EXPECT_TRUE(evaluated.losses.empty());
  given.batch.training = true;
  one.layer.forward(given.x, given.batch, &first.assignment);
  const MoEOutput again = one.layer.forward(given.x, given.batch);
  EXPECT_EQ(one.state(), before);
  EXPECT_TRUE(again.assignment.same_routing(first.assignment));
  EXPECT_EQ(again.y_TD.values(), first.y_TD.values());
  one.layer.after_step(first.stats);
  EXPECT_NE(one.state(), before);
}

// The bias of an overloaded expert falls by the rate, once per step, however many micro-batches.
TEST(MoELayer, BiasMovesOncePerStep) {
  for (const int64_t micro_batch : {12, 2}) {
    LayerCase given = layer_case("switch");
    set_option(given, "bias_update", 0.125);
    given.micro_batch = micro_batch;
    SparseAssignment all = empty_assignment(12);
    const int32_t expert = 4;
    for (int64_t t = 0; t < 6; ++t) all.append(std::span(&expert, 1));
    given.replay.assign(12, all);
    given.steps = 3;
    const LayerRun run = run_layer(given);
    const std::vector<double>& bias = run.state.at("router/layers.0.moe.router.bias");
    for (size_t e = 0; e < 12; ++e) EXPECT_EQ(bias[e], e == 4 ? -0.375 : 0.375);
  }
}

// Drops do not count for the bias: it follows what the router wanted.
TEST(MoELayer, BiasFollowsCountsBeforeDrops) {
  LayerCase given = layer_case("switch");
  set_option(given, "bias_update", 0.125);
  set_capacity(given, 0.5);
  const LayerRun run = run_layer(given);
  ASSERT_GT(run.stats.dropped(), 0);
  EXPECT_EQ(std::accumulate(run.stats.selected.begin(), run.stats.selected.end(), int64_t{0}), 72);
  const std::vector<double>& bias = run.state.at("router/layers.0.moe.router.bias");
  for (size_t e = 0; e < 12; ++e)
    EXPECT_EQ(bias[e], run.stats.selected[e] > 6   ? -0.125
                       : run.stats.selected[e] < 6 ? 0.125
                                                   : 0.0);
}

// With one set for the whole batch the exact scope is the sequence scope of that one sequence.
TEST(MoELayer, ExactScopeTakesThisBatch) {
  for (const std::string router : {"topk", "st_moe", "smile"}) {
    LayerCase given = layer_case(router, 1, 24);
    testing::pad(given.batch, {3, 20});
    given.inputs.config.balance = terms(given, {BalanceScope::sequence});
    const LayerRun sequence = run_layer(given);
    given.inputs.config.balance = terms(given, {BalanceScope::global_batch_exact});
    given.forwards_first = true;
    EXPECT_LE(difference(sequence, run_layer(given)), 1e-10) << router;
    // Nobody told the batch before backward.
    given.forwards_first = false;
    EXPECT_THROW(run_layer(given), Error);
  }
}

// Inside a recomputed block the terms are made again when the batch is known.
TEST(MoELayer, ExactScopeUnderRecompute) {
  LayerCase given = layer_case("topk");
  given.inputs.config.balance = terms(given, {BalanceScope::global_batch_exact});
  OneLayer one(given.inputs);
  auto run = [&](bool recomputed) {
    Tensor dx;
    one.layer.parameters([](Parameter& p) { p.zero_gradient(); });
    const Tensor x = leaf(given.x, [&](Tensor g) { dx = g; });
    RouterStats stats;
    const auto block = [&](std::span<const Tensor> in) {
      const MoEOutput out = one.layer.forward(in[0], given.batch);
      stats = out.stats;
      return attach_losses(out.y_TD, out.losses);
    };
    const Tensor y = recomputed ? recompute(block, std::span(&x, 1)) : block(std::span(&x, 1));
    one.layer.before_backward(stats);
    backward(std::span(&y, 1), std::span(&given.seed, 1));
    one.layer.after_step(stats);
    return dx.values();
  };
  EXPECT_EQ(run(false), run(true));
}

// The global scope takes f of the step before: uniform in the first step.
TEST(MoELayer, GlobalScopeTakesThePreviousStep) {
  LayerCase given = layer_case("topk");
  given.inputs.config.balance = {{"switch", 1.0, BalanceScope::global_batch}};
  EXPECT_NEAR(run_layer(given).losses[0], 1.0, 1e-12);  // 12 * sum 1/12 P
  given.steps = 2;
  const LayerRun second = run_layer(given);
  double wanted = 0.0;
  for (size_t e = 0; e < 12; ++e)
    wanted += 12.0 * static_cast<double>(second.stats.selected[e]) / 144.0 *
              second.stats.probability_sum[e] / 72.0;
  EXPECT_NEAR(second.losses[0], wanted, 1e-12);
  EXPECT_EQ(second.state.at("router/layers.0.moe.batch_load.pairs").size(), 12U);
}

TEST(MoELayer, RecomputeChangesNothing) {
  for (const std::string& router : kRouters) {
    LayerCase given = layer_case(router);
    given.inputs.config.balance =
        terms(given, {BalanceScope::sequence, BalanceScope::global_batch});
    set_capacity(given, 1.5);
    OneLayer one(given.inputs);
    auto run = [&](bool recomputed) {
      Tensor dx;
      one.layer.parameters([](Parameter& p) { p.zero_gradient(); });
      const Tensor x = leaf(given.x, [&](Tensor g) { dx = g; });
      const auto block = [&](std::span<const Tensor> in) {
        const MoEOutput out = one.layer.forward(in[0], given.batch);
        return attach_losses(out.y_TD, out.losses);
      };
      const Tensor y = recomputed ? recompute(block, std::span(&x, 1)) : block(std::span(&x, 1));
      backward(std::span(&y, 1), std::span(&given.seed, 1));
      std::vector<std::vector<double>> out{y.values(), dx.values()};
      one.layer.parameters([&](Parameter& p) {
        p.finish_gradient();
        out.push_back(p.gradient().values());
      });
      return out;
    };
    EXPECT_EQ(run(false), run(true)) << router;
  }
}

// attach_losses gives the gradients that the losses as roots give.
TEST(MoELayer, AttachedLossesAreRoots) {
  LayerCase given = layer_case("topk");
  given.inputs.config.balance = terms(given, {BalanceScope::sequence});
  const auto wanted = run_layer(given).gradients.at("layers.0.moe.router.weight");
  OneLayer one(given.inputs);
  const MoEOutput out = one.layer.forward(given.x, given.batch);
  const Tensor y = attach_losses(out.y_TD, out.losses);
  backward(std::span(&y, 1), std::span(&given.seed, 1));
  one.layer.parameters([&](Parameter& p) {
    if (p.name() != "layers.0.moe.router.weight") return;
    const std::vector<double> g = p.gradient().values();
    for (size_t i = 0; i < g.size(); ++i) EXPECT_NEAR(g[i], wanted[i], 1e-10);
  });
}

}  // namespace
}  // namespace troupe
