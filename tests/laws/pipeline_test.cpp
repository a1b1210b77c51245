// Pipeline stages change nothing, whatever their schedule.
#include <gtest/gtest.h>

#include "models/verify/difference.h"
#include "models/verify/layout_run.h"
#include "moe/balance/balance_term.h"
#include "tests/support/law_cases.h"
#include "tests/support/law_check.h"

namespace troupe::laws {
namespace {

Parallelism layout(const Degrees& degrees, PipelineSchedule schedule, int chunks = 1) {
  Parallelism out(MeshShape::of(degrees));
  out.schedule = schedule;
  out.virtual_stages = chunks;
  return out;
}

// 5 layers, of which 1 and 4 route, with every balance term: two stages get 3 and 2, four get 2, 1,
// 1 and 1.
LayoutRun law(const std::string& name) {
  LayoutRun out;
  for (const NamedCase& named : law_cases(DType::f64)) {
    if (named.name == name) out.engine = named.engine;
  }
  ModelConfig& model = out.engine.model;
  const auto moe = model.moe.at(1);
  model.layers = 5;
  model.moe = {std::nullopt, moe, std::nullopt, std::nullopt, moe};
  out.steps = 3;
  return out;
}

void check(const LayoutRun& one, const std::vector<Parallelism>& layouts) {
  const LawResult reference = run_law_on_threads(one, 1);
  for (size_t i = 0; i < layouts.size(); ++i) {
    expect_same_training(one, reference, layouts[i], "layout " + std::to_string(i));
  }
}

constexpr auto kGpipe = PipelineSchedule::gpipe;
constexpr auto kOneByOne = PipelineSchedule::one_f_one_b;
constexpr auto kInterleaved = PipelineSchedule::interleaved;
constexpr auto kZeroBubble = PipelineSchedule::zero_bubble;

TEST(PipelineLaw, EverySchedule) {
  check(law("topk_dropless"), {layout({.pp = 2}, kGpipe), layout({.pp = 2}, kOneByOne),
                               layout({.pp = 2}, kInterleaved, 2), layout({.pp = 2}, kZeroBubble),
                               layout({.pp = 4}, kGpipe), layout({.pp = 4}, kOneByOne),
                               layout({.pp = 4}, kInterleaved), layout({.pp = 4}, kZeroBubble)});
}

TEST(PipelineLaw, OneStageWithEverySchedule) {
  check(law("topk_dropless"), {layout({}, kGpipe), layout({}, kInterleaved, 3),
                               layout({}, kZeroBubble), layout({.dp = 2, .ep = 2}, kGpipe)});
}

// Every schedule adds the gradients of micro-batches in the same order.
TEST(PipelineLaw, SchedulesGiveTheSameBits) {
  LayoutRun one = law("topk_dropless");
  const auto bits = [&](const Parallelism& on) {
    one.layout = on;
    return fingerprint(run_law_on_threads(one, on.shape.world()));
  };
  const uint64_t expected = bits(layout({.pp = 2, .dp = 2}, kOneByOne));
  EXPECT_EQ(bits(layout({.pp = 2, .dp = 2}, kGpipe)), expected);
  EXPECT_EQ(bits(layout({.pp = 2, .dp = 2}, kZeroBubble)), expected);
}

TEST(PipelineLaw, InterleavedFillsManyPieces) {
  LayoutRun one = law("topk_dropless");
  ModelConfig& model = one.engine.model;
  model.layers = 7;
  model.moe.insert(model.moe.end(), 2, std::nullopt);
  check(one, {layout({.pp = 2}, kInterleaved, 3), layout({.pp = 3}, kInterleaved, 2)});
}

TEST(PipelineLaw, TiedEmbeddings) {
  LayoutRun one = law("st_moe_capacity");
  one.engine.model.tie_embeddings = true;
  check(one, {layout({.pp = 2}, kOneByOne), layout({.pp = 4}, kZeroBubble),
              layout({.pp = 2, .dp = 2, .ep = 2}, kGpipe), layout({.pp = 4, .dp = 2}, kOneByOne),
              layout({.pp = 2, .tp = 2, .ep = 2}, kInterleaved, 2)});
}

TEST(PipelineLaw, DropoutAndRecompute) {
  LayoutRun one = law("st_moe_capacity");
  one.engine.model.dropout = 0.1;
  one.engine.model.recompute = true;
  check(one,
        {layout({.pp = 2}, kOneByOne), layout({.pp = 2}, kZeroBubble),
         layout({.pp = 2}, kInterleaved, 2), layout({.pp = 4, .dp = 2, .ep = 2}, kZeroBubble)});
}

TEST(PipelineLaw, HashKnowsTheTokensOnEveryStage) {
  check(law("hash_dropless"),
        {layout({.pp = 2, .dp = 2, .ep = 2}, kOneByOne), layout({.pp = 4}, kGpipe)});
}

TEST(PipelineLaw, BiasesMoveOnTheStageOfTheLayer) {
  check(law("topk_sigmoid_bias_dropless"),
        {layout({.pp = 4}, kOneByOne), layout({.pp = 2, .dp = 2, .ep = 2}, kGpipe)});
}

// Context parallelism and sharded state cut what is on a stage once more.
TEST(PipelineLaw, CombinedWithContextParallelismAndShardedState) {
  LayoutRun one = law("topk_capacity");
  one.engine.model.tie_embeddings = true;
  std::vector<Parallelism> layouts = {layout({.pp = 2, .cp = 2, .ep = 2}, kZeroBubble),
                                      layout({.pp = 2, .dp = 2, .cp = 2, .ep = 2}, kOneByOne),
                                      layout({.pp = 2, .dp = 2}, kInterleaved, 2),
                                      layout({.pp = 4, .dp = 2, .ep = 2}, kGpipe)};
  layouts[1].zero = 1;
  layouts[2].zero = 2;
  layouts[3].zero = 1;
  check(one, layouts);
}

TEST(PipelineLaw, CombinedWithTensorAndExpertParallelism) {
  LayoutRun one = law("topk_dropless");
  one.engine.model.heads = 4;
  one.engine.model.kv_heads = 2;
  one.engine.model.head_dim = 4;
  check(one, {layout({.pp = 2, .tp = 2, .ep = 2}, kOneByOne),
              layout({.pp = 2, .dp = 2, .tp = 2, .ep = 4}, kZeroBubble),
              layout({.pp = 2, .dp = 2, .tp = 2, .ep = 2, .etp = 2}, kInterleaved, 2),
              layout({.pp = 4, .tp = 2, .etp = 2}, kGpipe)});
}

// Terms of this step's whole batch wait for the last forward of a stage.
TEST(PipelineLaw, ExactBatchTermsUnderGpipe) {
  for (const bool recompute : {false, true}) {
    LayoutRun one = law("topk_dropless");
    one.engine.model.recompute = recompute;
    for (auto& moe : one.engine.model.moe) {
      if (!moe) continue;
      moe->balance = {{"switch", 0.02, BalanceScope::global_batch_exact},
                      {"importance", 0.02, BalanceScope::global_batch_exact}};
    }
    LayoutRun whole = one;  // one micro-batch is the batch
    whole.engine.micro_batch = whole.engine.global_batch;
    const LawResult reference = run_law_on_threads(whole, 1);
    for (const Parallelism& on :
         {layout({}, kGpipe), layout({.pp = 2}, kGpipe), layout({.pp = 4}, kGpipe),
          layout({.pp = 2, .dp = 2, .ep = 2}, kGpipe)}) {
      expect_same_training(one, reference, on, recompute ? "recompute" : "kept");
    }
  }
}

// Two stages that hold each other's layers are seen.
TEST(PipelineLaw, SwappedStagesAreSeen) {
  LayoutRun one = law("topk_dropless");
  const LawResult reference = run_law_on_threads(one, 1);
  Parallelism swapped = layout({.pp = 2}, kOneByOne);
  swapped.planted = PlantedBug::stage_order;
  one.layout = swapped;
  const LawResult result = run_law_on_threads(one, 2);
  EXPECT_GT(worst_difference(reference.losses, result.losses), 1e-6);
}

}  // namespace
}  // namespace troupe::laws
