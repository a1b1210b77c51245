// Where attention stays inside documents the first token of one is not predicted, and the loss is
// divided by what is: over all ranks, micro-batches, slices of sequences and stages.
#include <gtest/gtest.h>

#include "models/verify/layout_run.h"
#include "parallel/comm/thread/thread_world.h"
#include "tests/support/law_check.h"

namespace troupe::laws {
namespace {

LayoutRun masked_case() {
  LayoutRun law{small_engine(DType::f64, "topk")};
  law.engine.model.heads = 4;
  law.engine.model.kv_heads = 2;
  law.engine.model.head_dim = 4;
  law.engine.model.mask_documents = true;
  law.engine.global_batch = 12;
  law.engine.micro_batch = 3;
  law.steps = 2;
  return law;
}

TEST(Predictions, TheLossIsTheirMean) {
  const LayoutRun law = masked_case();
  const auto device = Device::cpu(1);
  run_ranks(1, [&](int, std::shared_ptr<Communicator> world) {
    const Mesh mesh(Parallelism(MeshShape::data_expert(1, 1)), world);
    TrainingEngine engine(law.engine, mesh, device);
    double nats = 0;
    int64_t predictions = 0;
    int64_t said = 0;
    for (int64_t micro = 0; micro < engine.micro_batches(); ++micro) {
      const TokenBatch batch = law_batches(engine, 1)(micro);
      BatchTensors tensors = to_tensors(batch, true, device);
      tensors.context.global_sequences = law.engine.global_batch;
      tensors.context.global_tokens = 1;
      tensors.context.micro_batch = law.engine.micro_batch;
      for (const double nll : engine.model().nll(tensors.context, tensors.targets).values())
        nats += nll;
      for (const int32_t target : batch.targets) predictions += target >= 0 ? 1 : 0;
      said += batch.predictions;
      EXPECT_GT(batch.step_predictions, batch.predictions);
    }
    EXPECT_EQ(said, predictions);
    EXPECT_EQ(law_batches(engine, 1)(0).step_predictions, predictions);
    EXPECT_LT(predictions, law.engine.global_batch * law.engine.model.seq_len);
    const StepResult result = engine.step(1, law_batches(engine, 1));
    EXPECT_NEAR(result.loss, nats / static_cast<double>(predictions), 1e-12);
  });
}

TEST(Predictions, AreCountedTheSameOnEveryLayout) {
  LayoutRun law = masked_case();
  const LawResult alone = run_law_on_threads(law, 1);
  for (const Degrees& degrees :
       {Degrees{.dp = 2, .ep = 2}, Degrees{.dp = 4, .ep = 4}, Degrees{.cp = 2, .ep = 2},
        Degrees{.pp = 2}, Degrees{.dp = 2, .cp = 2, .tp = 2, .ep = 2, .etp = 2}}) {
    const Parallelism on(MeshShape::of(degrees));
    expect_same_training(law, alone, on, "dp " + std::to_string(degrees.dp));
  }
  law.engine.micro_batch = 1;
  expect_same_training(law, alone, Parallelism(MeshShape::of({.dp = 2})), "micro-batch 1");
}

}  // namespace
}  // namespace troupe::laws
