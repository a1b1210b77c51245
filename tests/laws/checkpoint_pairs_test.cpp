// A checkpoint of any layout loads on any other: what the other then holds, and would save, has the
// same bits. All pairs of fourteen layouts, with ZeRO state, in one file and in several.
#include <gtest/gtest.h>

#include <array>
#include <mutex>

#include "models/verify/layout_run.h"
#include "parallel/checkpoint/checkpoint.h"
#include "parallel/comm/thread/thread_world.h"
#include "tests/core/io/temporary_directory.h"

namespace troupe::laws {
namespace {

struct Case {
  const char* name;
  Degrees degrees;
  int zero = 0;
};

const std::array<Case, 14> kCases = {{
    {"one rank", {}},
    {"dp 2 zero 1", {.dp = 2}, 1},
    {"dp 3 zero 2", {.dp = 3}, 2},
    {"tp 2 etp 2", {.tp = 2, .etp = 2}},
    {"dp 4 ep 2 zero 1", {.dp = 4, .ep = 2}, 1},
    {"cp 2 ep 2 zero 2", {.cp = 2, .ep = 2}, 2},
    {"pp 2 dp 2 ep 2 zero 1", {.pp = 2, .dp = 2, .ep = 2}, 1},
    {"pp 2 cp 2 tp 2 ep 2 etp 2", {.pp = 2, .cp = 2, .tp = 2, .ep = 2, .etp = 2}},
    {"dp 2 tp 2 ep 4 zero 2", {.dp = 2, .tp = 2, .ep = 4}, 2},
    {"dp 6 ep 6", {.dp = 6, .ep = 6}},
    {"pp 2 dp 4 ep 4 zero 1", {.pp = 2, .dp = 4, .ep = 4}, 1},
    {"dp 4 zero 3", {.dp = 4}, 3},
    {"pp 2 dp 2 tp 2 ep 4 zero 3", {.pp = 2, .dp = 2, .tp = 2, .ep = 4}, 3},
    {"dp 2 cp 2 tp 2 ep 4 etp 2 zero 1", {.dp = 2, .cp = 2, .tp = 2, .ep = 4, .etp = 2}, 1},
}};

EngineConfig tiny(const Case& on) {
  EngineConfig engine = small_engine(DType::f32, "topk");
  engine.model.tie_embeddings = true;
  engine.model.heads = 4;
  engine.model.kv_heads = 2;
  engine.model.head_dim = 4;
  engine.micro_batch = 1;
  engine.global_batch = on.degrees.dp * 2;
  return engine;
}

// Runs body(engine, world) on every rank.
template <typename F>
void on_ranks(const Case& on, F body) {
  Parallelism layout(MeshShape::of(on.degrees));
  layout.zero = on.zero;
  run_ranks(layout.shape.world(), [&](int, std::shared_ptr<Communicator> world) {
    const auto device = Device::cpu(1);
    world->world().set_device(device);
    const Mesh mesh(layout, world);
    TrainingEngine engine(tiny(on), mesh, device);
    body(engine, *world);
  });
}

std::vector<std::pair<std::string, Digest>> digests(const std::string& path) {
  std::vector<std::pair<std::string, Digest>> out;
  for (const auto& tensor : checkpoint::read_info(path).tensors) {
    out.emplace_back(tensor.name, tensor.digest);
  }
  return out;
}

TEST(CheckpointPairs, EveryLayoutLoadsEveryOther) {
  const test::TemporaryDirectory dir;
  std::vector<std::vector<std::pair<std::string, Digest>>> expected;
  for (size_t from = 0; from < kCases.size(); ++from) {
    const std::string path = dir / (std::to_string(from) + ".h5");
    on_ranks(kCases[from], [&](TrainingEngine& engine, Communicator& world) {
      engine.step(0, law_batches(engine, static_cast<int64_t>(from)));
      checkpoint::SaveOptions options;
      if (from % 2 == 1) options.shard_above = 0;
      checkpoint::save(path, engine.state(), world, options);
    });
    expected.push_back(digests(path));
    EXPECT_EQ(expected.back().size(), expected.front().size());
    // Each has learned something else, or a load that does nothing would pass.
    if (from > 0) {
      EXPECT_NE(expected[from], expected[from - 1]);
    }
  }
  for (const Case& to : kCases) {
    on_ranks(to, [&](TrainingEngine& engine, Communicator& world) {
      for (size_t from = 0; from < kCases.size(); ++from) {
        State state = engine.state();
        checkpoint::load(dir / (std::to_string(from) + ".h5"), state, world);
        engine.state_loaded();
        const std::string again = dir / "again.h5";
        checkpoint::save(again, engine.state(), world);
        if (world.rank() == 0) {
          EXPECT_EQ(digests(again), expected[from]) << kCases[from].name << " -> " << to.name;
        }
        world.barrier("compared").finish();
      }
    });
  }
}

}  // namespace
}  // namespace troupe::laws
