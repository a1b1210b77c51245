// What the routers of this folder can do changes nothing of what a layout may not change: each
// trains the same model on layouts of 8 ranks as on one, gradients included.
#include <gtest/gtest.h>

#include <set>

#include "core/autograd/tape.h"
#include "core/ops/reduce.h"
#include "models/families/lookup/configured_model.h"
#include "models/verify/layout_list.h"
#include "models/verify/verifier.h"
#include "parallel/comm/self_communicator.h"
#include "parallel/comm/thread/thread_world.h"
#include "parallel/pp/pipeline_schedule.h"
#include "tests/core/ops/gradient_check.h"
#include "tests/moe/routers/abilities/abilities.h"
#include "tests/moe/support.h"
#include "tests/support/guarded_device.h"

namespace troupe::testing {
namespace {

// Small enough for every cut of 8.
EngineConfig engine_of(const std::string& router) {
  add_ability_routers();
  EngineConfig engine = laws::small_engine(DType::f64, router);
  ModelConfig& model = engine.model;
  const auto moe = model.moe.at(1);
  model.layers = 8;
  model.dim = 16;
  model.heads = model.kv_heads = 8;
  model.head_dim = 2;
  model.seq_len = 16;
  model.moe.assign(8, std::nullopt);
  model.moe[2] = model.moe[3] = moe;
  for (const size_t layer : {2, 3}) {
    model.moe[layer]->experts = 8;
    model.moe[layer]->ffn_dim = 8;
  }
  engine.global_batch = 8;
  engine.micro_batch = 1;
  return engine;
}

LayoutInputs inputs_of(const EngineConfig& engine) {
  LayoutInputs inputs = layout_inputs(engine.model);
  inputs.global_batch = engine.global_batch;
  inputs.micro_batch = engine.micro_batch;
  return inputs;
}

bool any_layout(const Parallelism&) { return true; }

// Evenly out of those that can be.
std::vector<VerifiedLayout> some_layouts(const EngineConfig& engine, size_t count,
                                         bool (*legal)(const Parallelism&)) {
  std::vector<VerifiedLayout> possible;
  for (VerifiedLayout& layout : all_layouts(inputs_of(engine), {8, false, 0, 2})) {
    if (layout.refused.empty() && legal(layout.parallelism)) possible.push_back(std::move(layout));
  }
  std::vector<VerifiedLayout> some;
  for (size_t i = 0; i < count; ++i) some.push_back(possible.at(i * possible.size() / count));
  return some;
}

void expect_the_same_model(const EngineConfig& engine, size_t count, size_t part, size_t parts,
                           bool (*legal)(const Parallelism&) = any_layout) {
  VerifyCase verify{engine};
  verify.steps = 2;
  verify.engine.model.recompute = part % 2 == 1;
  Verifier verifier(verify);
  const std::vector<VerifiedLayout> layouts = some_layouts(engine, count, legal);
  for (size_t i = part; i < layouts.size(); i += parts) {
    const Verdict verdict = verifier.check(layouts[i], run_on_threads(8, std::chrono::seconds(60)));
    EXPECT_TRUE(verdict.same(1e-10)) << describe(layouts[i]) << ": " << verdict.worst << " in "
                                     << verdict.where << verdict.error;
  }
}

constexpr size_t kParts = 6;  // of two layouts each, so that no test takes long

class Abilities : public ::testing::TestWithParam<std::tuple<const char*, size_t>> {};

TEST_P(Abilities, TrainTheSameModelOnLayouts) {
  const auto& [router, part] = GetParam();
  expect_the_same_model(engine_of(router), 12, part, kParts);
}

INSTANTIATE_TEST_SUITE_P(Routers, Abilities,
                         ::testing::Combine(::testing::Values("reads_residual", "keeps_state",
                                                              "own_backward", "ragged",
                                                              "asks_chosen", "asks_all"),
                                            ::testing::Range(size_t{0}, kParts)),
                         [](const auto& test) {
                           return std::string(std::get<0>(test.param)) + "_" +
                                  std::to_string(std::get<1>(test.param));
                         });

// On a device whose memory the host cannot touch, too, with the bits of the CPU.
class GuardedAbilities : public ::testing::TestWithParam<const char*> {};

TEST_P(GuardedAbilities, TrainWithTheBitsOfTheCpu) {
  laws::LayoutRun run{engine_of(GetParam())};
  run.layout = Parallelism(MeshShape::of({.dp = 4, .ep = 2}));
  run.steps = 2;
  const uint64_t cpu = laws::fingerprint(laws::run_law_on_threads(run, 4));
  run.make_device = [] { return GuardedDevice::make(); };
  run.before_training = [](TrainingEngine& engine) {
    GuardedDevice::label_all(engine.model().parameters());
  };
  EXPECT_EQ(laws::fingerprint(laws::run_law_on_threads(run, 4)), cpu);
}

INSTANTIATE_TEST_SUITE_P(Routers, GuardedAbilities,
                         ::testing::Values("reads_residual", "keeps_state", "own_backward",
                                           "ragged", "asks_chosen", "asks_all"),
                         [](const auto& test) { return std::string(test.param); });

laws::LawResult trained(const std::string& router, int64_t steps = 1) {
  laws::LayoutRun law{engine_of(router)};
  law.steps = steps;
  law.record = laws::Recorded::all_steps;
  return laws::run_law_on_threads(law, 1);
}

double norm_of(const laws::LawResult& result, const std::string& name) {
  for (const auto& tensor : result.gradients) {
    if (tensor.name.ends_with(name)) return laws::size_of(tensor).largest;
  }
  ADD_FAILURE() << "no gradient " << name;
  return 0;
}

// With other values in the stream before the norm the same rows get other experts, and that stream
// gets a gradient.
TEST(Ability, ARouterReadsTheResidual) {
  add_ability_routers();
  MoELayerInputs inputs;
  inputs.config.router = "reads_residual";
  inputs.config.ffn_dim = 4;
  inputs.config.router_precision = inputs.compute = DType::f64;
  inputs.dim = 5;
  inputs.name = "layers.0.moe";
  inputs.init_std = 0.5;
  const Mesh mesh(MeshShape(), self_communicator());
  MoELayer layer(inputs, mesh, test_device());
  const TokenContext batch = whole_batch(2, 6);
  const Tensor x = random_tensor({12, 5}, 1);
  bool received = false;
  const Tensor residual = leaf(random_tensor({12, 5}, 2), [&](const Tensor& gradient) {
    received = true;
    for (const double g : gradient.values()) EXPECT_NE(g, 0.0);
  });
  const MoEOutput one = layer.forward(x, batch, nullptr, nullptr, residual);
  const MoEOutput other = layer.forward(x, batch, nullptr, nullptr, random_tensor({12, 5}, 3));
  EXPECT_FALSE(one.assignment.same_routing(other.assignment));
  EXPECT_THROW(layer.forward(x, batch), std::exception);
  backward(sum(one.y_TD));
  EXPECT_TRUE(received);
}

// What was loaded in the first step is avoided in the second: with other state, other choices.
TEST(Ability, StateMovesChoices) {
  const laws::LawResult result = trained("keeps_state", 2);
  EXPECT_NE(result.counts.at(0), result.counts.at(1));
}

// Without a backward of its own a constant weight would give the router no gradient.
TEST(Ability, AConstantWeightHasAGradient) {
  EXPECT_GT(norm_of(trained("own_backward"), "layers.2.moe.router.weight"), 0);
}

TEST(Ability, TokensHaveNoneAndMany) {
  std::set<int64_t> numbers;
  const laws::LawResult result = trained("ragged");
  for (const SparseAssignment& sample : result.assignments.at(0)) {
    for (size_t t = 0; t + 1 < sample.token_begin.size(); ++t)
      numbers.insert(sample.token_begin[t + 1] - sample.token_begin[t]);
  }
  EXPECT_TRUE(numbers.contains(0));
  EXPECT_GE(*numbers.rbegin(), 4);
}

// (f) One router for two layers of a stage.
EngineConfig shared_engine() {
  EngineConfig engine = engine_of("keeps_state");
  engine.model.moe[3]->router_of_layer = 2;
  return engine;
}

class SharedRouter : public ::testing::TestWithParam<size_t> {};

TEST_P(SharedRouter, TrainsTheSameModelOnLayouts) {
  expect_the_same_model(shared_engine(), 12, GetParam(), kParts, [](const Parallelism& p) {
    return p.shape[Axis::pp] * chunks_per_stage(p) <= 4 && p.zero < 3;  // both layers on a stage
  });
}

INSTANTIATE_TEST_SUITE_P(Parts, SharedRouter, ::testing::Range(size_t{0}, kParts));

TEST(Ability, OneRouterHasTheGradientsOfBothLayers) {
  laws::LayoutRun law{shared_engine()};
  law.steps = 1;
  const laws::LawResult both = laws::run_law_on_threads(law, 1);
  for (const auto& tensor : both.gradients)
    EXPECT_FALSE(tensor.name.ends_with("layers.3.moe.router.weight"));
  law.engine.model.moe[3].reset();
  const laws::LawResult one = laws::run_law_on_threads(law, 1);
  EXPECT_NE(norm_of(both, "layers.2.moe.router.weight"),
            norm_of(one, "layers.2.moe.router.weight"));
  // The list of parameters is that of the model.
  const auto specs = model_parameters(shared_engine().model, Parallelism());
  const Mesh mesh(MeshShape(), self_communicator());
  const auto model = make_model(shared_engine().model, mesh, test_device(), 1);
  ASSERT_EQ(specs.size(), model->parameters().size());
  for (size_t i = 0; i < specs.size(); ++i)
    EXPECT_EQ(specs[i].name, model->parameters()[i]->name());
}

}  // namespace
}  // namespace troupe::testing
