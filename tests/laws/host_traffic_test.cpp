// How often a step of training crosses between the host and a device, in exact numbers: a copy
// inside a step that the table "Host memory" of ARCHITECTURE.md does not know is noticed here. On a
// device that computes while the host goes on, the host waits at each copy.
#include <gtest/gtest.h>

#include "models/verify/layout_run.h"
#include "parallel/comm/thread/thread_world.h"
#include "tests/support/guarded_device.h"

namespace troupe::laws {
namespace {

using troupe::testing::GuardedDevice;

struct Sizes {
  int64_t moe_layers = 0;
  int64_t micro_batches = 0;
  int64_t terms = 0;  // of the balance, in each layer
};

EngineConfig engine_of(const Sizes& sizes, int ranks) {
  EngineConfig engine = small_engine(DType::f32, "topk");
  ModelConfig& model = engine.model;
  std::optional<MoEConfig> moe = model.moe[1];
  for (const char* type : {"switch", "z"}) {
    if (static_cast<int64_t>(moe->balance.size()) < sizes.terms)
      moe->balance.push_back({type, 0.01, BalanceScope::sequence});
  }
  model.layers = sizes.moe_layers + 1;
  model.moe.assign(1, std::nullopt);  // the first layer is dense
  model.moe.resize(static_cast<size_t>(model.layers), moe);
  engine.micro_batch = 2;
  engine.global_batch = engine.micro_batch * sizes.micro_batches * ranks;
  return engine;
}

// Of the second step on the first of `ranks` ranks with dp = ep = ranks.
HostTraffic of_a_step(const Sizes& sizes, int ranks) {
  HostTraffic traffic;
  run_ranks(ranks, [&](int rank, std::shared_ptr<Communicator> world) {
    const auto device = GuardedDevice::make();
    world->world().set_device(device);
    const Mesh mesh(MeshShape::data_expert(ranks, ranks), world);
    TrainingEngine engine(engine_of(sizes, ranks), mesh, device);
    engine.step(0, law_batches(engine, 0));
    const HostTraffic before = device->host_traffic();
    engine.step(1, law_batches(engine, 1));
    const HostTraffic after = device->host_traffic();
    if (rank == 0) {
      traffic.copies = after.copies - before.copies;
      traffic.uploads = after.uploads - before.uploads;
    }
  });
  return traffic;
}

// Once a step, once a micro-batch, once a MoE layer of it, and once a balance term of that.
struct Crossings {
  int64_t step = 0;
  int64_t micro_batch = 0;
  int64_t layer = 0;
  int64_t term = 0;

  int64_t of(const Sizes& sizes) const {
    const int64_t of_layer = layer + sizes.terms * term;
    return step + sizes.micro_batches * (micro_batch + sizes.moe_layers * of_layer);
  }
};

std::vector<Sizes> some_sizes() {
  std::vector<Sizes> out;
  for (const int64_t layers : {0, 1, 2}) {
    for (const int64_t micro_batches : {1, 3}) {
      for (const int64_t terms : {0, 1, 2}) out.push_back({layers, micro_batches, terms});
    }
  }
  return out;
}

void expect_crossings(int ranks, const Crossings& copies, const Crossings& uploads) {
  for (const Sizes& sizes : some_sizes()) {
    const HostTraffic traffic = of_a_step(sizes, ranks);
    const std::string what = std::to_string(sizes.moe_layers) + " MoE layers, " +
                             std::to_string(sizes.micro_batches) + " micro-batches, " +
                             std::to_string(sizes.terms) + " terms";
    EXPECT_EQ(traffic.copies, copies.of(sizes)) << "to the host: " << what;
    EXPECT_EQ(traffic.uploads, uploads.of(sizes)) << "from the host: " << what;
  }
}

// To the host. A step: its totals (for the sum over ranks, and to be read), the squares of the
// gradient norm, the count of updates (two readers). A micro-batch: its loss. A layer: the chosen
// experts, the probabilities for statistics. A term: its value.
constexpr Crossings kCopies{2 + 1 + 2, 1, 2, 1};
// From the host. A step: the totals (before and after their sum), the count of updates. A
// micro-batch: ids, targets, positions, ones for the loss, the seed of backward. A layer: the pairs
// whose scores become gate weights (offsets twice and experts), indices of rows (four on their way
// to the experts and three back). A term: segments, weights, a seed.
constexpr Crossings kUploads{2 + 1, 5, 3 + 7, 3};

TEST(HostTraffic, OfAStepOnOneRank) { expect_crossings(1, kCopies, kUploads); }

// Messages cross, too, since the transport moves host memory. A step: the sum of the gradients. A
// layer: rows and weights to the experts, results back, and the gradients of these three.
TEST(HostTraffic, OfAStepOnTwoRanks) {
  Crossings copies = kCopies;
  copies.step += 1;
  copies.layer += 6;
  // Each of a layer's messages is put in the order of the experts, or taken out of it.
  Crossings uploads = kUploads;
  uploads.step += 1;
  uploads.layer += 6 + 6;
  expect_crossings(2, copies, uploads);
}

}  // namespace
}  // namespace troupe::laws
