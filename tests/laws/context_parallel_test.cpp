// Sequences cut over cp change nothing: both kinds, alone and with tensor and expert parallelism.
#include <gtest/gtest.h>

#include "models/verify/layout_run.h"
#include "tests/support/law_cases.h"
#include "tests/support/law_check.h"

namespace troupe::laws {
namespace {

Parallelism layout(CpKind kind, const Degrees& degrees, bool sp) {
  Parallelism out(MeshShape::of(degrees));
  out.sp = sp;
  out.cp_kind = kind;
  return out;
}

const char* name_of(CpKind kind) { return kind == CpKind::ring ? "ring" : "all_to_all"; }

// Sequences of 8 with two documents, 4 heads of 2 key heads.
void prepare(EngineConfig& engine) {
  ModelConfig& model = engine.model;
  model.heads = 4;
  model.kv_heads = 2;
  model.head_dim = 4;
  model.qk_norm = true;
  model.attention_bias = true;
  model.mask_documents = true;
  engine.global_batch = 12;
}

class ContextParallel : public ::testing::TestWithParam<NamedCase> {};

TEST_P(ContextParallel, F64) {
  LayoutRun law{GetParam().engine};
  prepare(law.engine);
  law.steps = 2;
  const LawResult alone = run_law_on_threads(law, 1);
  for (CpKind kind : {CpKind::ring, CpKind::all_to_all}) {
    for (const Parallelism& on :
         {layout(kind, {.cp = 2}, false), layout(kind, {.cp = 4, .ep = 2, .etp = 2}, false),
          layout(kind, {.cp = 2, .tp = 2, .ep = 4}, true),
          layout(kind, {.dp = 2, .cp = 2, .etp = 2}, false)}) {
      expect_same_training(
          law, alone, on,
          std::string(name_of(kind)) + " cp " + std::to_string(on.shape[Axis::cp]) + " tp " +
              std::to_string(on.shape[Axis::tp]) + " ep " + std::to_string(on.shape[Axis::ep]));
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Routers, ContextParallel, ::testing::ValuesIn(law_cases(DType::f64)),
                         [](const auto& info) { return info.param.name; });

// 2 x 2 x 2 with and without sp, more key heads than cp can part, and one key head for all.
TEST(ContextParallelShapes, ThreeAxesAndAnyHeads) {
  for (const auto& [heads, kv_heads] : {std::pair{8, 2}, std::pair{12, 4}, std::pair{4, 1}}) {
    LayoutRun law{small_engine(DType::f64, "topk")};
    prepare(law.engine);
    law.engine.model.heads = heads;
    law.engine.model.kv_heads = kv_heads;
    law.engine.global_batch = 6;
    law.steps = 2;
    const LawResult alone = run_law_on_threads(law, 1);
    for (CpKind kind : {CpKind::ring, CpKind::all_to_all}) {
      for (bool sp : {true, false}) {
        expect_same_training(
            law, alone, layout(kind, {.dp = 2, .cp = 2, .tp = 2, .ep = 2, .etp = 2}, sp),
            std::string(name_of(kind)) + (sp ? " sp, heads " : ", heads ") + std::to_string(heads));
      }
    }
  }
}

TEST(ContextParallelBits, RepetitionAndThreads) {
  for (DType compute : {DType::f32, DType::bf16}) {
    for (CpKind kind : {CpKind::ring, CpKind::all_to_all}) {
      LayoutRun law{small_engine(compute, "topk")};
      prepare(law.engine);
      law.steps = 2;
      law.layout = layout(kind, {.cp = 2, .tp = 2, .ep = 2, .etp = 2}, true);
      const uint64_t once = fingerprint(run_law_on_threads(law, 4));
      EXPECT_EQ(fingerprint(run_law_on_threads(law, 4)), once);
      law.threads = 2;
      EXPECT_EQ(fingerprint(run_law_on_threads(law, 4)), once);
    }
  }
}

}  // namespace
}  // namespace troupe::laws
