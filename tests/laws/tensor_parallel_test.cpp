// Tensor and sequence parallelism change nothing.
#include <gtest/gtest.h>

#include "launch/app/layout_law.h"

namespace troupe::laws {
namespace {

Parallelism layout(int dp, int cp, int tp, int edp, int ep, int etp, bool sp) {
  MeshShape shape;
  shape[Axis::dp] = dp;
  shape[Axis::cp] = cp;
  shape[Axis::tp] = tp;
  shape[Axis::edp] = edp;
  shape[Axis::ep] = ep;
  shape[Axis::etp] = etp;
  Parallelism out(shape);
  out.sp = sp;
  return out;
}

EngineConfig engine(const std::string& router) {
  EngineConfig out = small_engine(DType::f64, router);
  out.model.heads = 4;
  out.model.kv_heads = 2;
  out.model.head_dim = 4;
  out.model.qk_norm = true;
  out.model.attention_bias = true;
  return out;
}

void expect_same(const LawCase& one, const LawResult& reference, const Parallelism& on,
                 const std::string& what) {
  LawCase law = one;
  law.layout = on;
  const LawResult result = run_law_on_threads(law, on.shape.world());
  std::string where;
  EXPECT_LT(worst_difference(reference.gradients, result.gradients, where), 1e-10)
      << what << ": gradient of " << where;
  EXPECT_LT(worst_difference(reference.parameters, result.parameters, where), 1e-10)
      << what << ": " << where;
  EXPECT_LT(worst_difference(reference.losses, result.losses), 1e-10) << what;
  EXPECT_LT(worst_difference(reference.balance_losses, result.balance_losses), 1e-10) << what;
  EXPECT_LT(worst_difference(reference.norms, result.norms), 1e-10) << what;
  EXPECT_EQ(reference.counts, result.counts) << what;
}

void check(LawCase one, const std::string& what) {
  one.steps = 3;
  const LawResult reference = run_law_on_threads(one, 1);
  for (const bool sp : {true, false}) {
    const std::string name = what + (sp ? " sp" : "");
    expect_same(one, reference, layout(1, 1, 2, 2, 1, 1, sp), name + " tp 2");
    expect_same(one, reference, layout(1, 1, 4, 1, 4, 1, sp), name + " tp 4 ep 4");
    expect_same(one, reference, layout(2, 1, 2, 1, 4, 1, sp), name + " dp 2 tp 2 ep 4");
    expect_same(one, reference, layout(1, 1, 2, 1, 1, 2, sp), name + " tp 2 etp 2");
  }
}

TEST(TensorParallel, UntiedWithTopk) {
  LawCase law;
  law.engine = engine("topk");
  check(law, "topk");
}

TEST(TensorParallel, TiedWithCapacityDropoutAndRecompute) {
  LawCase law;
  law.engine = engine("st_moe");
  law.engine.model.tie_embeddings = true;
  law.engine.model.dropout = 0.1;
  law.engine.model.recompute = true;
  law.engine.model.moe[1]->capacity_factor = 1.0;
  check(law, "st_moe");
}

TEST(TensorParallel, ExpertChoice) {
  LawCase law;
  law.engine = engine("expert_choice");
  check(law, "expert choice");
}

}  // namespace
}  // namespace troupe::laws
