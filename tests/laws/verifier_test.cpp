// The verifier proves layouts and names the tensor that differs.
#include "models/verify/verifier.h"

#include <gtest/gtest.h>

#include "launch/config/engine_config.h"
#include "launch/config/load.h"
#include "models/verify/shrink.h"
#include "tests/support/law_cases.h"

namespace troupe {
namespace {

VerifyCase small_case(DType compute) {
  VerifyCase verify{laws::small_engine(compute, "topk")};
  verify.engine.model.moe[1]->balance = {{"switch", 0.05, BalanceScope::sequence},
                                         {"z", 0.01, BalanceScope::sequence}};
  verify.steps = 2;
  return verify;
}

VerifiedLayout data_expert(int dp, int ep) {
  return {Parallelism(MeshShape::data_expert(dp, ep)), 1, {}};
}

TEST(Verifier, FindsLayoutsTheSameInEveryPrecision) {
  for (DType compute : {DType::f64, DType::f32, DType::bf16}) {
    Verifier verifier(small_case(compute));
    for (int ep : {1, 2}) {
      const Verdict verdict =
          verifier.check(data_expert(2, ep), run_on_threads(2, std::chrono::seconds(60)));
      EXPECT_TRUE(verdict.same(tolerance_of(compute)))
          << name(compute) << ", ep " << ep << ": " << verdict.worst << " in " << verdict.tensor
          << verdict.error;
    }
  }
}

// The gradient of a key's bias nearly cancels, so in f32 and bf16 much of it is rounding, which is
// no difference; bugs in gradients and updates are.
TEST(Verifier, KnowsWhatAPrecisionItselfDoes) {
  for (DType compute : {DType::f32, DType::bf16}) {
    VerifyCase verify = small_case(compute);
    verify.engine.model.attention_bias = true;
    verify.engine.model.init_std = 0.1;
    Verifier verifier(verify);
    const LayoutRunner run = run_on_threads(2, std::chrono::seconds(60));
    VerifiedLayout context{MeshShape::of({.cp = 2}), 1, {}};
    const Verdict verdict = verifier.check(context, run);
    EXPECT_TRUE(verdict.same(tolerance_of(compute))) << verdict.worst << " in " << verdict.tensor;
    VerifiedLayout shards{MeshShape::of({.dp = 2, .ep = 2}), 1, {}};
    shards.parallelism.zero = 1;
    for (PlantedBug bug : {PlantedBug::gradient_twice_under_ep, PlantedBug::wrong_shard_offset}) {
      shards.parallelism.planted = bug;
      EXPECT_FALSE(verifier.check(shards, run).same(tolerance_of(compute)))
          << name(compute) << " " << static_cast<int>(bug);
    }
  }
}

// Models in which bf16 is mostly rounding: the bias of a key for two heads, and a norm of gradients
// that each differ by more than the least that is allowed.
TEST(Verifier, TakesRoundingForRounding) {
  struct Rounded {
    const char* text;
    Parallelism layout;
  };
  const Rounded few_elements{R"(
model: {layers: 2, dim: 18, heads: 4, kv_heads: 1, head_dim: 6, ffn_dim: 7, seq_len: 8, vocab: 256,
  tie_embeddings: true, qk_norm: true, attention_bias: true, dropout: 0.1}
moe: {experts: 2, ffn_dim: 16, router: {type: smile, groups: 2, top_k: 1},
  balance: [{type: z, coef: 0.1, scope: global_batch}]}
data: {tokenizer: byte, train: none.txt}
train: {steps: 2, global_batch: 1, micro_batch: 1}
optimizer: {lr: 0.01, clip: 0.1, weight_decay: 0.0}
run: {seed: 279339}
)",
                             MeshShape::of({.tp = 2, .ep = 2})};
  const Rounded norm{R"(
model: {layers: 5, dim: 6, heads: 32, kv_heads: 8, head_dim: 4, ffn_dim: 8, seq_len: 48, vocab: 17,
  qk_norm: true, dropout: 0.1}
moe: {experts: 8, ffn_dim: 16, router: {type: topk, top_k: 2, score: sigmoid, noise: learned}}
data: {tokenizer: byte, train: none.txt}
train: {steps: 2, global_batch: 48, micro_batch: 2}
optimizer: {weight_decay: 0.0}
run: {seed: 353852}
)",
                     MeshShape::of({.cp = 2, .tp = 2, .etp = 4})};
  for (Rounded rounded : {few_elements, norm}) {
    const int ranks = rounded.layout.shape.world();
    const RunConfig config =
        load_config_text(rounded.text, "rounded.yaml", {"parallel.dp=1"}, 1).config;
    VerifyCase verify{shrink(engine_config(config), ranks)};
    verify.engine.model.compute = DType::bf16;
    verify.steps = 1;
    rounded.layout.cp_kind = CpKind::all_to_all;
    const Verdict verdict = Verifier(verify).check({rounded.layout, 1, {}},
                                                   run_on_threads(ranks, std::chrono::minutes(1)));
    EXPECT_TRUE(verdict.same(tolerance_of(DType::bf16)))
        << verdict.worst << " in " << verdict.where << verdict.error;
  }
}

// A window of one token leaves nothing to choose: gradients of queries and keys are last bits of
// others, and AdamW moves by them.
TEST(Verifier, TakesLastBitsForNothing) {
  VerifyCase verify = small_case(DType::f64);
  verify.engine.model.window = 1;
  verify.engine.model.attention_bias = true;
  verify.engine.model.init_std = 0.1;
  verify.engine.lr = 0.1;
  Verifier verifier(verify);
  const VerifiedLayout layout{MeshShape::of({.tp = 2}), 1, {}};
  const Verdict verdict = verifier.check(layout, run_on_threads(2, std::chrono::seconds(60)));
  EXPECT_TRUE(verdict.same(tolerance_of(DType::f64))) << verdict.worst << " in " << verdict.tensor;
}

// A model that differs between the runs differs in what was changed.
TEST(Verifier, NamesTheTensor) {
  const laws::LayoutRun law{laws::small_engine(DType::f64, "topk")};
  laws::LawResult one = run_law_on_threads(law, 1);
  laws::LawResult other = one;
  other.gradients[3].values[0] += 1e-6;
  std::string where;
  EXPECT_GT(worst_difference(one.gradients, other.gradients, where), 1e-10);
  EXPECT_EQ(where, one.gradients[3].name);
  other = one;
  other.parameters.pop_back();
  EXPECT_GT(worst_difference(one.parameters, other.parameters, where), 1e-10);
  EXPECT_EQ(where, one.parameters.back().name);
}

}  // namespace
}  // namespace troupe
