// Laws of one layer that are not about layouts: what must not change its output.
#include "moe/layer/moe_layer.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <limits>

#include "core/autograd/tape.h"
#include "core/ops/swiglu_experts.h"
#include "tests/core/ops/gradient_check.h"
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
using testing::test_device;

const std::string kRouters[] = {"topk", "switch", "st_moe", "hash", "expert_choice", "smile"};

TEST(MoELayer, InfiniteCapacityIsDropless) {
  for (const std::string& router : kRouters) {
    if (router == "expert_choice") continue;
    LayerCase given = layer_case(router);
    const LayerRun dropless = run_layer(given);
    for (const double factor : {std::numeric_limits<double>::infinity(), 12.0}) {
      set_capacity(given, factor);
      const LayerRun all = run_layer(given);
      EXPECT_EQ(difference(dropless, all), 0.0) << router;
      EXPECT_EQ(all.stats.dropped(), 0);
    }
  }
}

// Experts that choose with capacity for all tokens give the sum over all experts by probability.
TEST(MoELayer, ExpertChoiceOfEverythingIsTheDenseSum) {
  LayerCase choice = layer_case("expert_choice");
  set_capacity(choice, 12.0);
  LayerCase all = layer_case("topk");
  set_option(all, "top_k", int64_t{12});
  set_option(all, "renormalize", false);
  EXPECT_LE(difference(run_layer(choice), run_layer(all)), 1e-12);
}

TEST(MoELayer, OneExpertIsTheDenseLayer) {
  for (const std::string& router : kRouters) {
    LayerCase given = layer_case(router);
    given.inputs.config.experts = 1;
    if (router == "topk" || router == "smile") set_option(given, "top_k", int64_t{1});
    if (router == "smile") set_option(given, "groups", int64_t{1});
    OneLayer one(given.inputs);
    const MoEOutput out = one.layer.forward(given.x, given.batch);
    std::vector<Parameter*> parameters;
    one.layer.parameters([&](Parameter& p) { parameters.push_back(&p); });
    Parameter& down = *parameters.back();
    Parameter& gate_up = *parameters[parameters.size() - 2];
    const Tensor dense = swiglu_feed_forward(given.x, gate_up, down);
    EXPECT_LE(testing::relative_difference(dense, out.y_TD), 1e-14) << router;
  }
}

// Experts and router rows moved together: the same function, gradients moved with them.
TEST(MoELayer, PermutedExpertsPermuteTheResult) {
  for (const std::string router : {"topk", "switch", "st_moe", "expert_choice"}) {
    LayerCase given = layer_case(router);
    given.inputs.config.balance =
        terms(given, {BalanceScope::sequence, BalanceScope::global_batch});
    set_capacity(given, router == "expert_choice" ? 2.0 : 1.0);
    const LayerRun plain = run_layer(given);
    given.permutation = {3, 1, 7, 0, 2, 11, 10, 5, 4, 9, 8, 6};
    const LayerRun moved = run_layer(given);
    LayerRun back = moved;
    for (auto& [name, gradient] : back.gradients) {
      const std::vector<double> from = gradient;
      const size_t row = from.size() / 12;
      for (size_t e = 0; e < 12; ++e) {
        const auto home = static_cast<size_t>(given.permutation[e]);
        std::copy_n(from.begin() + static_cast<int64_t>(e * row), row,
                    gradient.begin() + static_cast<int64_t>(home * row));
      }
    }
    back.state = plain.state;
    // Expert choice adds a token's experts by number, so its sums change in the last bits.
    EXPECT_LE(difference(plain, back), 1e-10) << router;
    for (size_t e = 0; e < 12; ++e) {
      EXPECT_EQ(moved.stats.kept[e], plain.stats.kept[static_cast<size_t>(given.permutation[e])]);
    }
  }
}

// A batch with padding gives the valid tokens what the batch without it gives them.
TEST(MoELayer, PaddingChangesNothing) {
  for (const std::string& router : kRouters) {
    LayerCase plain = layer_case(router, 4, 6);
    set_capacity(plain, 1.0);
    if (router == "topk") set_option(plain, "bias_update", 0.01);
    plain.inputs.config.balance = terms(
        plain, {BalanceScope::sequence, BalanceScope::microbatch, BalanceScope::global_batch});
    LayerCase padded = plain;
    padded.batch = testing::whole_batch(4, 9);
    padded.batch.micro_batch = plain.batch.micro_batch;
    padded.x = Tensor::full(Shape{36, 8}, DType::f64, 3.0, test_device());
    padded.seed = Tensor::full(Shape{36, 8}, DType::f64, 5.0, test_device());
    std::vector<int64_t> padding;
    for (int64_t b = 0; b < 4; ++b) {
      for (int64_t s = 0; s < 9; ++s) {
        if (s >= 6) {
          padding.push_back(b * 9 + s);
          continue;
        }
        padded.batch.token_ids.data<int32_t>()[b * 9 + s] =
            plain.batch.token_ids.data<int32_t>()[b * 6 + s];
        for (int64_t i = 0; i < 8; ++i) {
          for (const auto& [to, from] :
               {std::pair(padded.x, plain.x), std::pair(padded.seed, plain.seed)})
            to.data<double>()[(b * 9 + s) * 8 + i] = from.data<double>()[(b * 6 + s) * 8 + i];
        }
      }
    }
    testing::pad(padded.batch, padding);
    // Random draws are keyed by position in the batch, which padding shifts: none here.
    if (router == "switch") {
      set_option(plain, "jitter", 0.0);
      set_option(padded, "jitter", 0.0);
    }
    if (router == "st_moe") {
      set_option(plain, "second_threshold", 0.0);
      set_option(padded, "second_threshold", 0.0);
    }
    const LayerRun a = run_layer(plain);
    LayerRun b = run_layer(padded);
    EXPECT_EQ(a.stats.selected, b.stats.selected) << router;
    EXPECT_EQ(a.stats.kept, b.stats.kept) << router;
    EXPECT_EQ(b.stats.tokens, 24);
    EXPECT_NEAR(a.stats.entropy_sum, b.stats.entropy_sum, 1e-10);
    for (auto* rows : {&b.y, &b.dx}) {
      std::vector<double> valid;
      for (size_t t = 0; t < 36; ++t) {
        for (size_t i = 0; i < 8; ++i) {
          if (t % 9 < 6) {
            valid.push_back((*rows)[t * 8 + i]);
          } else {
            EXPECT_EQ((*rows)[t * 8 + i], 0.0);
          }
        }
      }
      *rows = valid;
    }
    EXPECT_LE(difference(a, b), 1e-10) << router;
  }
}

TEST(MoELayer, MicroBatchingChangesNothing) {
  for (const std::string& router : kRouters) {
    LayerCase given = layer_case(router);
    set_capacity(given, 1.0);
    if (router == "topk") set_option(given, "bias_update", 0.01);
    given.inputs.config.balance =
        terms(given, {BalanceScope::sequence, BalanceScope::global_batch});
    given.steps = 2;
    given.micro_batch = 12;
    const LayerRun whole = run_layer(given);
    for (const int64_t size : {1, 3, 5}) {
      given.micro_batch = size;
      EXPECT_LE(difference(whole, run_layer(given)), 1e-10) << router << " by " << size;
    }
  }
}

// One group leaves nothing to decide above it.
TEST(MoELayer, SmileOfOneGroupIsTopk) {
  for (const double factor : {0.0, 0.75}) {
    LayerCase topk = layer_case("topk");
    LayerCase smile = layer_case("smile");
    set_option(smile, "groups", int64_t{1});
    for (LayerCase* given : {&topk, &smile}) {
      set_option(*given, "top_k", int64_t{3});
      given->inputs.config.balance =
          terms(smile, {BalanceScope::sequence, BalanceScope::global_batch});
      given->steps = 2;
      if (factor > 0.0) set_capacity(*given, factor);
    }
    const LayerRun a = run_layer(topk);
    const LayerRun b = run_layer(smile);
    EXPECT_EQ(difference(a, b), 0.0);
    EXPECT_EQ(a.gradients, b.gradients);
    EXPECT_EQ(a.stats.kept, b.stats.kept);
  }
}

// bf16 products with an f32 router: near f32, gate weights and logits never rounded to bf16.
TEST(MoELayer, Bf16StaysNearF32) {
  LayerCase given = layer_case("topk");
  given.inputs.config.router_precision = DType::f32;
  auto cast_to = [](const Tensor& x, DType dtype) {
    return Tensor::from(x.values(), x.shape(), dtype, x.device());
  };
  const Tensor x = cast_to(cast_to(given.x, DType::bf16), DType::f32);
  given.inputs.compute = DType::f32;
  given.x = x;
  given.seed = cast_to(given.seed, DType::f32);
  const LayerRun wide = run_layer(given);
  given.inputs.compute = DType::bf16;
  given.x = cast_to(given.x, DType::bf16);
  given.seed = cast_to(given.seed, DType::bf16);
  const LayerRun narrow = run_layer(given, 2, 2);
  for (size_t b = 0; b < wide.assignments.size(); ++b)
    EXPECT_TRUE(wide.assignments[b].same_routing(narrow.assignments[b]));
  auto distance = [](const std::vector<double>& a, const std::vector<double>& b) {
    double difference = 0.0;
    double size = 0.0;
    for (size_t i = 0; i < a.size(); ++i) {
      difference += (a[i] - b[i]) * (a[i] - b[i]);
      size += a[i] * a[i];
    }
    return std::sqrt(difference / size);
  };
  EXPECT_LT(distance(wide.y, narrow.y), 3e-2);
  EXPECT_GT(distance(wide.y, narrow.y), 0.0);
  for (const auto& [name, gradient] : wide.gradients)
    EXPECT_LT(distance(gradient, narrow.gradients.at(name)), 3e-2) << name;
}

TEST(MoELayer, GenerationIsDropless) {
  LayerCase given = layer_case("topk");
  set_capacity(given, 0.5);
  OneLayer one(given.inputs);
  EXPECT_GT(one.layer.forward(given.x, given.batch).stats.dropped(), 0);
  given.batch.training = false;
  given.batch.dropless = true;
  EXPECT_EQ(one.layer.forward(given.x, given.batch).stats.dropped(), 0);
}

// Each phase has its own factor.
TEST(MoELayer, EvaluationHasItsOwnCapacity) {
  LayerCase given = layer_case("topk", 1, 36);
  given.inputs.config.capacity_factor = 1.0;        // 2 x 36 / 12 = 6
  given.inputs.config.capacity_factor_eval = 0.25;  // 1.5
  OneLayer one(given.inputs);
  for (const bool training : {true, false}) {
    given.batch.training = training;
    const RouterStats stats = one.layer.forward(given.x, given.batch).stats;
    for (size_t e = 0; e < 12; ++e)
      EXPECT_EQ(stats.kept[e], std::min<int64_t>(stats.selected[e], training ? 6 : 2));
  }
}

// No second choice takes the slot of a first one, and the fractions of the switch term count first
// choices, this step's and the last one's.
TEST(MoELayer, StMoePlacesAndCountsFirstChoicesFirst) {
  LayerCase given = layer_case("st_moe", 1, 60);
  set_option(given, "second_threshold", 0.0);
  set_capacity(given, 0.5);  // 2 x 60 x 0.5 / 12 = 5
  given.inputs.config.balance = {{"switch", 1.0, BalanceScope::sequence}};
  OneLayer one(given.inputs);
  const MoEOutput out = one.layer.forward(given.x, given.batch);
  std::vector<int64_t> kept_first(12, 0);
  double switch_loss = 0.0;
  for (size_t t = 0; t < 60; ++t)
    kept_first[static_cast<size_t>(out.assignment.expert[2 * t])] += out.assignment.kept[2 * t];
  for (size_t e = 0; e < 12; ++e) {
    EXPECT_EQ(kept_first[e], std::min<int64_t>(out.stats.first[e], 5));
    switch_loss +=
        12.0 * static_cast<double>(out.stats.first[e]) / 60.0 * out.stats.probability_sum[e] / 60.0;
  }
  EXPECT_NE(out.stats.first, out.stats.selected);
  EXPECT_NEAR(out.losses[0].value.item(), switch_loss, 1e-12);
  given.inputs.config.balance = {{"switch", 1.0, BalanceScope::global_batch}};
  OneLayer next(given.inputs);
  next.layer.after_step(out.stats);
  EXPECT_NEAR(next.layer.forward(given.x, given.batch).losses[0].value.item(), switch_loss, 1e-12);
}

// A mean of gate weights of 1 and experts of different sizes of load: what the counters say.
TEST(MoELayer, StatsCountWhatHappened) {
  LayerCase given = layer_case("topk");
  testing::pad(given.batch, {1, 2, 70});
  OneLayer one(given.inputs);
  const MoEOutput out = one.layer.forward(given.x, given.batch);
  EXPECT_EQ(out.stats.tokens, 69);
  EXPECT_EQ(out.stats.rows, 138);
  EXPECT_EQ(out.stats.selected, out.assignment.selected_counts());
  double mass = 0.0;
  for (const double p : out.stats.probability_sum) mass += p;
  EXPECT_NEAR(mass, 69.0, 1e-10);
  EXPECT_GT(out.stats.entropy(), 0.0);
  EXPECT_LT(out.stats.entropy(), std::log(12.0));
  const Tensor nothing = Tensor::zeros(given.x.shape(), DType::f64, test_device());
  EXPECT_NEAR(one.layer.forward(nothing, given.batch).stats.entropy(), std::log(12.0), 1e-12);
  RouterStats even = RouterStats::zeros(4);
  even.selected = {4, 0, 2, 2};
  even.kept = {2, 0, 2, 2};
  EXPECT_EQ(even.dropped(), 2);
  EXPECT_EQ(even.dropped_fraction(), 0.25);
  EXPECT_EQ(even.load_max_over_mean(), 2.0);
  EXPECT_EQ(even.dead_experts(), 1);
}

TEST(MoELayer, TimeIsChargedToDispatch) {
  LayerCase given = layer_case("topk", 12, 200);
  PhaseClock clock;
  given.batch.clock = &clock;
  OneLayer one(given.inputs);
  clock.reset();
  clock.enter(Phase::forward);
  const Tensor x = leaf(given.x, [](Tensor) {});
  const MoEOutput out = one.layer.forward(x, given.batch);
  const double forward = clock.milliseconds()[static_cast<size_t>(Phase::dispatch)];
  EXPECT_GT(forward, 0.0);
  EXPECT_GT(clock.milliseconds()[static_cast<size_t>(Phase::forward)], 0.0);
  clock.enter(Phase::backward);
  backward(std::span(&out.y_TD, 1), std::span(&given.seed, 1));
  EXPECT_GT(clock.milliseconds()[static_cast<size_t>(Phase::dispatch)], forward);
  EXPECT_GT(clock.milliseconds()[static_cast<size_t>(Phase::backward)], 0.0);
}

TEST(MoELayer, ParametersAreNamedAndLaidOut) {
  LayerCase given = layer_case("topk");
  given.inputs.config.shared_experts = 1;
  OneLayer one(given.inputs);
  std::vector<std::string> names;
  one.layer.parameters([&](Parameter& p) {
    names.push_back(p.name());
    const bool expert = p.name().find(".experts.") != std::string::npos;
    EXPECT_EQ(p.layout().mesh, expert ? MeshKind::experts : MeshKind::attention);
    EXPECT_EQ(p.layout().gradient_partial[static_cast<size_t>(expert ? Axis::edp : Axis::dp)],
              true);
  });
  EXPECT_EQ(names,
            (std::vector<std::string>{"layers.0.moe.router.weight", "layers.0.moe.experts.gate_up",
                                      "layers.0.moe.experts.down", "layers.0.moe.shared.gate_up",
                                      "layers.0.moe.shared.down"}));
}

}  // namespace
}  // namespace troupe
