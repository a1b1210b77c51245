// Evaluation and checkpoints of a model that is spread over pipeline stages.
#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>

#include "models/engine/batch_tensors.h"
#include "models/verify/layout_run.h"
#include "parallel/checkpoint/checkpoint.h"
#include "parallel/comm/thread/thread_world.h"

namespace troupe::laws {
namespace {

EngineConfig tied_engine() {
  EngineConfig engine = small_engine(DType::f64, "topk");
  engine.model.layers = 4;
  engine.model.moe = {engine.model.moe[1], std::nullopt, std::nullopt, engine.model.moe[1]};
  engine.model.moe[0]->router_options.set("bias_update", 0.05);
  engine.model.tie_embeddings = true;
  return engine;
}

Parallelism stages(int pp, int dp, PipelineSchedule schedule, int chunks) {
  Parallelism out(MeshShape::of({.pp = pp, .dp = dp, .ep = dp}));
  out.schedule = schedule;
  out.virtual_stages = chunks;
  return out;
}

// Runs `body` with an engine on every rank of the layout.
void with_engine(const Parallelism& layout, const std::function<void(TrainingEngine&)>& body) {
  run_ranks(layout.shape.world(), [&](int, std::shared_ptr<Communicator> world) {
    auto device = Device::cpu(1);
    const Mesh mesh(layout, world);
    TrainingEngine engine(tied_engine(), mesh, device);
    body(engine);
  });
}

std::vector<double> token_losses(TrainingEngine& engine) {
  const TokenBatch batch = law_batches(engine, 3)(0);
  BatchTensors tensors = to_tensors(batch, false, Device::cpu(1));
  tensors.context.global_sequences = tensors.context.sequences;
  tensors.context.global_tokens = tensors.context.tokens();
  tensors.context.micro_batch = tensors.context.sequences;
  return engine.model().nll(tensors.context, tensors.targets).values();
}

TEST(PipelineState, EveryStageGetsTheLossOfTheTokens) {
  std::vector<double> expected;
  with_engine(Parallelism(), [&](TrainingEngine& engine) { expected = token_losses(engine); });
  for (const Parallelism& layout :
       {stages(2, 1, PipelineSchedule::one_f_one_b, 1), stages(4, 1, PipelineSchedule::gpipe, 1),
        stages(2, 1, PipelineSchedule::interleaved, 2)}) {
    with_engine(layout, [&](TrainingEngine& engine) {
      const std::vector<double> found = token_losses(engine);
      ASSERT_EQ(found.size(), expected.size());
      for (size_t i = 0; i < found.size(); ++i) EXPECT_NEAR(found[i], expected[i], 1e-12);
    });
  }
}

class Directory {
 public:
  Directory() : path_(testing::TempDir() + "pipeline_state_" + std::to_string(getpid())) {
    std::filesystem::create_directories(path_);
  }
  ~Directory() { std::filesystem::remove_all(path_); }
  Directory(const Directory&) = delete;
  Directory& operator=(const Directory&) = delete;
  std::string file(const std::string& name) const { return path_ + "/" + name; }

 private:
  std::string path_;
};

std::string contents_hash(const std::string& path) {
  std::string out;
  for (const auto& tensor : checkpoint::read_info(path).tensors) {
    out += tensor.name + " " + tensor.digest.hex() + "\n";
  }
  return out;
}

TEST(PipelineState, CheckpointsGoFromAnyStagesToAny) {
  const Directory directory;
  const std::string first = directory.file("first.h5");
  with_engine(stages(2, 2, PipelineSchedule::interleaved, 2), [&](TrainingEngine& engine) {
    engine.step(0, law_batches(engine, 0));
    engine.step(1, law_batches(engine, 1));
    checkpoint::save(first, engine.state(), engine.mesh().all());
  });
  const std::string expected = contents_hash(first);
  EXPECT_NE(expected.find("layers.3."), std::string::npos);
  EXPECT_NE(expected.find("optimizer/first_moment/embedding.weight"), std::string::npos);
  int number = 0;
  for (const Parallelism& layout : {Parallelism(), stages(4, 1, PipelineSchedule::zero_bubble, 1),
                                    stages(2, 2, PipelineSchedule::gpipe, 1)}) {
    const std::string again = directory.file(std::to_string(number++) + ".h5");
    with_engine(layout, [&](TrainingEngine& engine) {
      State state = engine.state();
      checkpoint::load(first, state, engine.mesh().all());
      engine.state_loaded();
      checkpoint::save(again, engine.state(), engine.mesh().all());
    });
    EXPECT_EQ(contents_hash(again), expected) << number;
  }
}

TEST(PipelineState, TheBubbleIsMeasured) {
  with_engine(stages(2, 1, PipelineSchedule::one_f_one_b, 1), [](TrainingEngine& engine) {
    const PipelineReport report = engine.step(0, law_batches(engine, 0)).pipeline;
    // 12 micro-batches through 2 stages.
    EXPECT_DOUBLE_EQ(report.formula, 1.0 / 13.0);
    EXPECT_GT(report.simulated, 0);
    EXPECT_LT(report.simulated, 1);
    EXPECT_LT(report.bubble, 1);
    EXPECT_GE(report.imbalance, 1);
    EXPECT_GT(report.simulated_seconds, 0);
    EXPECT_GT(report.seconds, 0);
  });
}

}  // namespace
}  // namespace troupe::laws
