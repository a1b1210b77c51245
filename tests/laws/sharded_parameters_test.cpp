// Values that live on their owners only change nothing: zero 3 has the bits of zero 2.
#include <gtest/gtest.h>

#include "parallel/comm/thread/thread_world.h"
#include "tests/support/law_check.h"

namespace troupe::laws {
namespace {

// Layers 0, 2 and 3 dense, 1 and 4 MoE.
EngineConfig engine(DType compute) {
  EngineConfig out = small_engine(compute, "topk");
  ModelConfig& model = out.model;
  const auto moe = model.moe.at(1);
  model.layers = 5;
  model.moe = {std::nullopt, moe, std::nullopt, std::nullopt, moe};
  model.heads = 4;
  model.kv_heads = 2;
  model.head_dim = 4;
  return out;
}

Parallelism layout(const Degrees& degrees, int zero, bool sp = true) {
  Parallelism out(MeshShape::of(degrees));
  out.zero = zero;
  out.sp = sp && degrees.tp > 1;
  return out;
}

LawResult run(const EngineConfig& engine, const Parallelism& on) {
  LayoutRun law;
  law.engine = engine;
  law.layout = on;
  law.steps = 3;
  return run_law_on_threads(law, on.shape.world());
}

void expect_bits_of_zero_2(const EngineConfig& engine, Parallelism on, const std::string& what) {
  on.zero = 2;
  const uint64_t expected = fingerprint(run(engine, on));
  on.zero = 3;
  EXPECT_EQ(fingerprint(run(engine, on)), expected) << what;
}

TEST(ShardedValuesLaw, BitsOfZero2) {
  const EngineConfig model = engine(DType::f32);
  expect_bits_of_zero_2(model, layout({.dp = 3}, 3), "dp 3");
  expect_bits_of_zero_2(model, layout({.dp = 4, .ep = 2}, 3), "dp 4 ep 2");
  expect_bits_of_zero_2(model, layout({.cp = 2, .ep = 2}, 3), "cp 2 ep 2");
  expect_bits_of_zero_2(model, layout({.dp = 2, .tp = 2, .etp = 2}, 3), "dp 2 tp 2 etp 2");
  expect_bits_of_zero_2(model, layout({.dp = 2, .tp = 2}, 3, false), "dp 2 tp 2 without sp");
}

TEST(ShardedValuesLaw, BitsOfZero2WithOptionsOfTheModel) {
  EngineConfig recompute = engine(DType::f32);
  recompute.model.recompute = true;
  recompute.model.dropout = 0.1;
  expect_bits_of_zero_2(recompute, layout({.dp = 2, .ep = 2}, 3), "recompute and dropout");
  EngineConfig tied = engine(DType::bf16);
  tied.model.tie_embeddings = true;
  tied.model.attention_bias = true;
  tied.model.qk_norm = true;
  expect_bits_of_zero_2(tied, layout({.dp = 2, .tp = 2}, 3), "tied, biases, QK-norm, bf16");
}

TEST(ShardedValuesLaw, BitsOfZero2UnderEverySchedule) {
  EngineConfig model = engine(DType::f32);
  for (const bool tied : {false, true}) {
    model.model.tie_embeddings = tied;
    for (const auto schedule : {PipelineSchedule::gpipe, PipelineSchedule::one_f_one_b,
                                PipelineSchedule::interleaved, PipelineSchedule::zero_bubble}) {
      Parallelism on = layout({.pp = 2, .dp = 2, .ep = 2}, 3);
      on.schedule = schedule;
      on.virtual_stages = schedule == PipelineSchedule::interleaved ? 2 : 1;
      if (tied && schedule == PipelineSchedule::gpipe) continue;
      expect_bits_of_zero_2(model, on, "schedule " + std::to_string(static_cast<int>(schedule)));
    }
  }
  for (const auto schedule : {PipelineSchedule::gpipe, PipelineSchedule::zero_bubble}) {
    Parallelism alone = layout({.dp = 2}, 3);
    alone.schedule = schedule;
    expect_bits_of_zero_2(model, alone, "one stage");
  }
}

// Evaluation between steps, and generation, which every rank enters.
TEST(ShardedValuesLaw, EvaluatesAndGeneratesBetweenSteps) {
  expect_bits_of_zero_2_between_steps(engine(DType::f32));
}

// A wide model on four ranks: a quarter of the values, and while training two blocks besides. After
// the first steps nothing more is asked of the system.
TEST(ShardedValuesLaw, TakesItsShareOfMemory) {
  EngineConfig model = engine(DType::f32);
  model.model.dim = 64;
  model.model.layers = 8;
  model.model.moe.assign(8, model.model.moe[1]);
  std::array<MemoryUse, 2> parameters;
  int64_t block = 0;
  for (const int zero : {2, 3}) {
    run_ranks(4, [&](int rank, std::shared_ptr<Communicator> world) {
      const auto device = Device::cpu(1);
      world->world().set_device(device);
      const Mesh mesh(layout({.dp = 4}, zero), world);
      TrainingEngine engine(model, mesh, device);
      int64_t asked = 0;
      for (int step = 0; step < 6; ++step) {
        engine.step(step, law_batches(engine, 0));
        if (step == 3) asked = device->memory().system_allocations;
      }
      EXPECT_EQ(device->memory().system_allocations, asked) << "zero " << zero;
      if (rank != 3) return;
      parameters[static_cast<size_t>(zero - 2)] = device->memory().of(MemoryKind::parameter);
      if (zero == 2) return;
      for (const Parameter* parameter : engine.model().parameters()) {
        if (parameter->name().rfind("layers.0.", 0) == 0)
          block += static_cast<int64_t>(parameter->value().bytes());
      }
    });
  }
  const auto whole = static_cast<double>(parameters[0].current);
  EXPECT_LE(static_cast<double>(parameters[1].current), 0.27 * whole);
  // The values of two blocks, and the forms of one.
  EXPECT_LE(static_cast<double>(parameters[1].peak),
            0.27 * whole + 3.2 * static_cast<double>(block));
  EXPECT_GT(parameters[1].peak, parameters[1].current + block);
}

}  // namespace
}  // namespace troupe::laws
