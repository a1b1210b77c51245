// Tensor and sequence parallelism change nothing.
#include <gtest/gtest.h>

#include "tests/support/law_check.h"

namespace troupe::laws {
namespace {

Parallelism layout(const Degrees& degrees, bool sp) {
  Parallelism out(MeshShape::of(degrees));
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

void check(LayoutRun one, const std::string& what) {
  one.steps = 3;
  const LawResult reference = run_law_on_threads(one, 1);
  for (const bool sp : {true, false}) {
    const std::string name = what + (sp ? " sp" : "");
    expect_same_training(one, reference, layout({.tp = 2}, sp), name + " tp 2");
    expect_same_training(one, reference, layout({.tp = 4, .ep = 4}, sp), name + " tp 4 ep 4");
    expect_same_training(one, reference, layout({.dp = 2, .tp = 2, .ep = 4}, sp),
                         name + " dp 2 tp 2 ep 4");
    expect_same_training(one, reference, layout({.tp = 2, .etp = 2}, sp), name + " tp 2 etp 2");
  }
}

TEST(TensorParallel, UntiedWithTopk) {
  LayoutRun law;
  law.engine = engine("topk");
  check(law, "topk");
}

TEST(TensorParallel, TiedWithCapacityDropoutAndRecompute) {
  LayoutRun law;
  law.engine = engine("st_moe");
  law.engine.model.tie_embeddings = true;
  law.engine.model.dropout = 0.1;
  law.engine.model.recompute = true;
  law.engine.model.moe[1]->capacity_factor = 1.0;
  check(law, "st_moe");
}

TEST(TensorParallel, ExpertChoice) {
  LayoutRun law;
  law.engine = engine("expert_choice");
  check(law, "expert choice");
}

}  // namespace
}  // namespace troupe::laws
