// A family whose parts are those of no other trains the same on every layout: gpt2 on 24 layouts of
// 8 ranks, of all that `troupe verify` runs (what it said of all of them is in
// certificates/gpt2.json), dense and with experts, with dropout and recompute.
#include <gtest/gtest.h>

#include "models/families/lookup/configured_model.h"
#include "models/verify/layout_list.h"
#include "models/verify/verifier.h"
#include "parallel/comm/thread/thread_world.h"
#include "tests/support/law_check.h"

namespace troupe::laws {
namespace {

EngineConfig gpt2_engine(DType compute) {
  EngineConfig engine = small_engine(compute, "topk");
  ModelConfig& model = engine.model;
  const auto moe = model.moe.at(1);
  model.family = "gpt2";
  model.layers = 8;
  model.dim = 16;
  model.heads = 8;
  model.seq_len = 16;
  model.moe.assign(8, std::nullopt);
  model.moe[2] = model.moe[7] = moe;
  for (const size_t layer : {2, 7}) {
    model.moe[layer]->experts = 8;
    model.moe[layer]->ffn_dim = 8;
  }
  Options none;
  find_family("gpt2").resolve(model, none);
  engine.global_batch = 8;
  engine.micro_batch = 1;
  return engine;
}

// Evenly out of those that can be.
std::vector<VerifiedLayout> some_layouts(const EngineConfig& engine, size_t count) {
  LayoutInputs subject = layout_inputs(engine.model);
  subject.global_batch = engine.global_batch;
  subject.micro_batch = engine.micro_batch;
  std::vector<VerifiedLayout> possible;
  for (VerifiedLayout& layout : all_layouts(subject, {8, false, 0, 2})) {
    if (layout.refused.empty()) possible.push_back(std::move(layout));
  }
  std::vector<VerifiedLayout> some;
  for (size_t i = 0; i < count; ++i) some.push_back(possible.at(i * possible.size() / count));
  return some;
}

class Gpt2Layouts : public testing::TestWithParam<size_t> {};

// Each test checks two layouts, so that none takes long.
TEST_P(Gpt2Layouts, TrainTheSameModel) {
  const size_t part = GetParam();
  VerifyCase verify{gpt2_engine(DType::f64)};
  verify.steps = 2;
  verify.engine.model.dropout = part % 2 == 0 ? 0.1 : 0.0;
  verify.engine.model.recompute = part % 3 == 0;
  const std::vector<VerifiedLayout> layouts = some_layouts(verify.engine, 24);
  Verifier verifier(verify);
  for (size_t i = 2 * part; i < 2 * (part + 1); ++i) {
    const Verdict verdict = verifier.check(layouts[i], run_on_threads(8, std::chrono::seconds(60)));
    EXPECT_TRUE(verdict.same(tolerance_of(DType::f64)))
        << describe(layouts[i]) << ": " << verdict.worst << " in " << verdict.where
        << verdict.error;
  }
}

INSTANTIATE_TEST_SUITE_P(Parts, Gpt2Layouts, testing::Range(size_t{0}, size_t{12}));

// Its table of positions is a unit of its own, and its norms have two parameters: gathered when
// they are used, in steps, evaluation and generation.
TEST(Gpt2, HasTheBitsOfZero2UnderZero3) {
  expect_bits_of_zero_2_between_steps(gpt2_engine(DType::f32));
}

}  // namespace
}  // namespace troupe::laws
