// Sharding the data parallel state changes nothing.
#include <gtest/gtest.h>

#include "parallel/checkpoint/checkpoint.h"
#include "parallel/comm/thread/thread_world.h"
#include "tests/core/io/temporary_directory.h"
#include "tests/support/law_check.h"

namespace troupe::laws {
namespace {

Parallelism layout(const Degrees& degrees, int zero) {
  Parallelism out(MeshShape::of(degrees));
  out.zero = zero;
  return out;
}

// AdamW, or SGD with momentum.
EngineConfig engine(DType compute, const std::string& optimizer) {
  EngineConfig out = small_engine(compute, "topk");
  out.model.heads = 4;
  out.model.kv_heads = 2;
  out.model.head_dim = 4;
  out.optimizer = optimizer;
  out.optimizer_options = Options(optimizer_fields(optimizer));
  if (optimizer == "sgd") out.optimizer_options.set("momentum", 0.9);
  return out;
}

LawResult run(const EngineConfig& engine, const Parallelism& on,
              const LawResult* replay = nullptr) {
  LayoutRun law;
  law.engine = engine;
  law.layout = on;
  law.steps = 3;
  law.replay = replay;
  return run_law_on_threads(law, on.shape.world());
}

TEST(Zero, ChangesNothing) {
  for (const char* optimizer : {"adamw", "sgd"}) {
    const EngineConfig model = engine(DType::f64, optimizer);
    const LawResult reference = run(model, Parallelism());
    for (int zero : {1, 2, 3}) {
      const std::string what = std::string(optimizer) + " zero " + std::to_string(zero);
      expect_same_training(reference, run(model, layout({.dp = 2}, zero)), what + " dp 2");
      expect_same_training(reference, run(model, layout({.dp = 3}, zero)), what + " dp 3");
      expect_same_training(reference, run(model, layout({.dp = 4, .ep = 2}, zero)),
                           what + " dp 4 ep 2");
      // Zero 3 has the bits of zero 2 (sharded_parameters_test.cpp).
      if (zero == 3 || std::string(optimizer) == "sgd") continue;
      expect_same_training(reference, run(model, layout({.dp = 2, .tp = 2, .etp = 2}, zero)),
                           what + " dp 2 tp 2 etp 2");
      expect_same_training(reference, run(model, layout({.dp = 2, .cp = 2}, zero)),
                           what + " dp 2 cp 2");
      expect_same_training(reference, run(model, layout({.cp = 2, .ep = 2}, zero)),
                           what + " cp 2 ep 2");
      Parallelism whole_rows = layout({.dp = 2, .tp = 2}, zero);
      whole_rows.sp = false;
      expect_same_training(reference, run(model, whole_rows), what + " dp 2 tp 2 without sp");
    }
  }
}

Parallelism two_stages(int zero) { return layout({.pp = 2, .dp = 2, .ep = 2}, zero); }

// A tied embedding is summed over both ends of the pipeline, which then share its state.
TEST(Zero, WithPipelineStages) {
  for (const bool tied : {false, true}) {
    EngineConfig model = engine(DType::f64, "adamw");
    model.model.tie_embeddings = tied;
    const LawResult reference = run(model, Parallelism());
    for (int zero : {1, 2, 3}) {
      for (const auto schedule : {PipelineSchedule::gpipe, PipelineSchedule::one_f_one_b}) {
        Parallelism on = two_stages(zero);
        on.schedule = schedule;
        const std::string what = tied ? "tied" : "untied";
        expect_same_training(reference, run(model, on),
                             what + " pp 2 dp 2 zero " + std::to_string(zero));
      }
    }
  }
}

// The bits of zero 0, in f32 and with several micro-batches; with zero 2 where one micro-batch is
// the batch.
TEST(Zero, ShardedOptimizerHasTheBitsOfAWholeOne) {
  for (const Degrees& degrees :
       {Degrees{.dp = 3}, Degrees{.dp = 4, .ep = 2}, Degrees{.dp = 2, .tp = 2, .ep = 4}}) {
    for (const char* optimizer : {"adamw", "sgd"}) {
      EngineConfig model = engine(DType::f32, optimizer);
      const auto bits = [&](int zero) { return fingerprint(run(model, layout(degrees, zero))); };
      EXPECT_EQ(bits(1), bits(0)) << optimizer << " dp " << degrees.dp << " tp " << degrees.tp;
      model.micro_batch = model.global_batch / degrees.dp;
      EXPECT_EQ(bits(2), bits(0)) << optimizer << " dp " << degrees.dp << " tp " << degrees.tp;
    }
  }
}

using Trained = std::vector<NamedTensor>;

// A run of two steps: the first on one layout, saved; the second on another from the file. What
// the second layout then holds and saves.
Trained continue_on(const EngineConfig& model, const Parallelism& on, const std::string& from,
                    const std::string& to, int64_t step) {
  Trained out;
  run_ranks(on.shape.world(), [&](int rank, std::shared_ptr<Communicator> world) {
    const auto device = Device::cpu(1);
    world->world().set_device(device);
    const Mesh mesh(on, world);
    TrainingEngine engine(model, mesh, device);
    if (!from.empty()) {
      State state = engine.state();
      checkpoint::load(from, state, *world);
      engine.state_loaded();
    }
    if (step >= 0) engine.step(step, law_batches(engine, step));
    checkpoint::save(to, engine.state(), *world);
    Trained all = gather_whole(engine.state(), "", *world, device);
    if (rank == 0) out = std::move(all);
  });
  return out;
}

void expect_equal(const Trained& a, const Trained& b, const std::string& what) {
  ASSERT_EQ(a.size(), b.size()) << what;
  std::map<std::string, std::vector<double>> others;
  for (const NamedTensor& tensor : b) others[tensor.name] = tensor.values;
  for (const NamedTensor& tensor : a)
    EXPECT_EQ(tensor.values, others[tensor.name]) << what << tensor.name;
}

// The state that one layout saves is, bit for bit, what another one loads and saves again.
TEST(Zero, CheckpointsLoadOnAnyLayout) {
  const std::vector<Parallelism> layouts = {layout({}, 0),
                                            layout({.dp = 3}, 1),
                                            layout({.dp = 3, .ep = 3}, 2),
                                            layout({.dp = 2, .ep = 2}, 0),
                                            layout({.dp = 4, .ep = 2}, 1),
                                            layout({.dp = 4, .ep = 2}, 2),
                                            layout({.dp = 2}, 1),
                                            layout({.dp = 2, .tp = 2, .etp = 2}, 1),
                                            layout({.dp = 2, .tp = 2, .ep = 2}, 2),
                                            two_stages(1),
                                            layout({.dp = 4, .ep = 2}, 3),
                                            layout({.dp = 3}, 3),
                                            two_stages(3)};
  EngineConfig model = engine(DType::f32, "adamw");
  model.model.tie_embeddings = true;
  test::TemporaryDirectory directory;
  const std::string saved = directory / "saved.h5";
  const std::string again = directory / "again.h5";
  for (const Parallelism& first : {layouts[1], layouts[5], layouts[9], layouts[10]}) {
    const Trained state = continue_on(model, first, "", saved, 0);
    for (const Parallelism& other : layouts) {
      const std::string what = "world " + std::to_string(other.shape.world()) + " zero " +
                               std::to_string(other.zero) + ": ";
      expect_equal(state, continue_on(model, other, saved, again, -1), what);
      EXPECT_EQ(checkpoint::read_info(again).file_bytes, checkpoint::read_info(saved).file_bytes);
    }
    // And back.
    expect_equal(state, continue_on(model, first, again, saved, -1), "back: ");
  }
}

// A run that goes on with zero 1 from the file of zero 0 has the bits of one that stays.
TEST(Zero, ARunGoesOnWithTheSameBits) {
  const EngineConfig model = engine(DType::f32, "adamw");
  test::TemporaryDirectory directory;
  continue_on(model, layout({.dp = 3}, 0), "", directory / "a.h5", 0);
  const Trained stays =
      continue_on(model, layout({.dp = 3}, 0), directory / "a.h5", directory / "b.h5", 1);
  const Trained moves =
      continue_on(model, layout({.dp = 3}, 1), directory / "a.h5", directory / "c.h5", 1);
  expect_equal(stays, moves, "zero 1: ");
}

TEST(Zero, ShardsTakeTheirShareOfMemory) {
  std::array<int64_t, 3> moments{};
  std::array<int64_t, 3> gradients{};
  EngineConfig model = engine(DType::f32, "adamw");
  model.model.dim = 64;
  for (int zero : {0, 1, 2}) {
    run_ranks(4, [&](int rank, std::shared_ptr<Communicator> world) {
      const auto device = Device::cpu(1);
      world->world().set_device(device);
      const Mesh mesh(layout({.dp = 4}, zero), world);
      TrainingEngine engine(model, mesh, device);
      engine.step(0, law_batches(engine));
      if (rank != 3) return;
      moments[static_cast<size_t>(zero)] = device->memory().of(MemoryKind::optimizer).current;
      gradients[static_cast<size_t>(zero)] = device->memory().of(MemoryKind::gradient).current;
    });
  }
  EXPECT_LE(static_cast<double>(moments[1]), 0.27 * static_cast<double>(moments[0]));
  EXPECT_EQ(moments[2], moments[1]);
  EXPECT_LE(static_cast<double>(gradients[2]), 0.27 * static_cast<double>(gradients[0]));
}

}  // namespace
}  // namespace troupe::laws
