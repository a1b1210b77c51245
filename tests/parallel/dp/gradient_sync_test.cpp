#include "parallel/dp/gradient_sync.h"

#include <gtest/gtest.h>

#include <cmath>
#include <map>
#include <numeric>

#include "core/base/error.h"
#include "core/base/random.h"
#include "core/optim/optimizer.h"
#include "parallel/comm/self_communicator.h"
#include "parallel/comm/thread_world.h"
#include "parallel/mesh/rank_group.h"

namespace troupe {
namespace {

// More elements than one chunk of the norm has.
constexpr int64_t kManyRows = 600;
constexpr int kDense = 4;  // dense parameters, then two banks of experts

// The parameters of a small model on a mesh of dp x ep; 12 experts.
struct Model {
  std::vector<std::unique_ptr<Parameter>> owned;
  std::vector<Parameter*> all;

  // rows: of the first parameter.
  Model(const MeshShape& shape, int rank, DType compute, const std::shared_ptr<Device>& device,
        int64_t rows = 30) {
    const auto at = coordinates(shape, rank);
    const auto add = [&](const std::string& name, const Layout& layout, bool decay) {
      owned.push_back(std::make_unique<Parameter>(name, layout, local_slice(layout, shape, at),
                                                  compute, Init{Init::Kind::normal, 0.02}, decay,
                                                  device));
      owned.back()->initialize(1);
      all.push_back(owned.back().get());
    };
    const std::array<Shape, kDense> dense = {Shape{rows, 250}, Shape{17}, Shape{5, 7}, Shape{3}};
    for (size_t i = 0; i < kDense; ++i) {
      add("dense." + std::to_string(i),
          Layout::replicated(dense[i], MeshKind::attention, {Axis::dp, Axis::cp}), i % 2 == 0);
    }
    for (int i = 0; i < 2; ++i) {
      Layout layout = Layout::replicated({12, 6, 11}, MeshKind::experts, {Axis::edp});
      layout.shard(0, Axis::ep);
      add("experts." + std::to_string(i), layout, true);
    }
  }
};

// The gradient that token block `block` (of kBlocks) gives to element `index` of a parameter, in
// the global numbering. A step's gradient is the sum over all blocks.
constexpr int kBlocks = 24;
double block_gradient(const Random& random, int block, int64_t index) {
  return random.uniform(static_cast<uint64_t>(index), static_cast<uint64_t>(block)) - 0.5;
}

// What this rank's blocks [begin, end) add to its part of the parameter.
Tensor local_gradient(const Parameter& p, int begin, int end,
                      const std::shared_ptr<Device>& device) {
  const int64_t row = p.layout().global.elements() / std::max<int64_t>(p.layout().global[0], 1);
  const int64_t first = p.slice().parts.at(0).global.offset[0] * row;
  std::vector<double> values(static_cast<size_t>(p.value().elements()), 0.0);
  const Random random(2, "gradient", p.name());
  for (int block = begin; block < end; ++block) {
    for (size_t i = 0; i < values.size(); ++i) {
      values[i] += block_gradient(random, block, first + static_cast<int64_t>(i));
    }
  }
  return Tensor::from(values, p.value().shape(), p.value().dtype(), device);
}

// Which blocks a rank contributes to a parameter: dense ones see the tokens of the rank; experts
// see those of their whole ep group.
std::pair<int, int> blocks_of(const Parameter& p, const MeshShape& shape, int rank, int micro,
                              int micro_batches) {
  const bool experts = p.layout().mesh == MeshKind::experts;
  const auto at = coordinates(shape, rank);
  const int parts = experts ? shape[Axis::edp] : shape[Axis::dp];
  const int part = at[static_cast<size_t>(experts ? Axis::edp : Axis::dp)];
  const int each = kBlocks / micro_batches / parts;
  const int begin = micro * (kBlocks / micro_batches) + part * each;
  return {begin, begin + each};
}

void run_step(Model& model, GradientSync& sync, const MeshShape& shape, int rank, int micro_batches,
              const std::shared_ptr<Device>& device) {
  sync.begin_step();
  for (int micro = 0; micro < micro_batches; ++micro) {
    sync.begin_micro_batch(micro + 1 == micro_batches);
    for (Parameter* p : model.all) p->use();
    // Every rank its own order: the sums must not care.
    std::vector<size_t> order(model.all.size());
    std::iota(order.begin(), order.end(), size_t{0});
    std::reverse(order.begin(), order.end());
    std::rotate(order.begin(), order.begin() + rank % 3, order.end());
    for (size_t i : order) {
      const auto [begin, end] = blocks_of(*model.all[i], shape, rank, micro, micro_batches);
      model.all[i]->accumulate(local_gradient(*model.all[i], begin, end, device));
    }
  }
  sync.finish();
}

Parallelism with_zero(const MeshShape& shape, int zero) {
  Parallelism parallelism(shape);
  parallelism.zero = zero;
  return parallelism;
}

const std::vector<std::pair<int, int>> kMeshes = {{1, 1}, {2, 1}, {2, 2}, {3, 3},
                                                  {4, 1}, {4, 2}, {4, 4}};

// Every rank has the sums of what it owns; with zero 0 of everything.
void check_sums(const MeshShape& shape, int zero, int micro_batches) {
  run_ranks(shape.world(), [&](int rank, const auto& world) {
    const auto device = Device::cpu();
    const Mesh mesh(with_zero(shape, zero), world);
    Model model(shape, rank, DType::f64, device);
    GradientSync sync(model.all, mesh, 1000);
    for (int step = 0; step < 2; ++step) {
      run_step(model, sync, shape, rank, micro_batches, device);
      for (Parameter* p : model.all) {
        const auto expected = local_gradient(*p, 0, kBlocks, device).values();
        const auto values = p->owned_gradient().values();
        ASSERT_EQ(static_cast<int64_t>(values.size()), p->owned().count);
        for (size_t i = 0; i < values.size(); ++i) {
          const auto at = static_cast<size_t>(p->owned().begin) + i;
          ASSERT_NEAR(values[i], expected[at], 1e-12) << p->name() << " zero " << zero;
        }
        if (zero == 0 || shape.world() == 1) {
          EXPECT_EQ(values.size(), expected.size());
        }
      }
    }
  });
}

TEST(GradientSync, SumsOverTheRightRanks) {
  for (const auto& [dp, ep] : kMeshes) {
    for (int zero : {0, 1, 2}) {
      for (int micro_batches : {1, 2}) {
        if (zero > 0 && dp == 1) continue;
        check_sums(MeshShape::data_expert(dp, ep), zero, micro_batches);
      }
    }
  }
}

TEST(GradientSync, NormCountsEveryElementOnce) {
  double reference = 0;
  {
    const auto device = Device::cpu();
    const MeshShape shape = MeshShape::data_expert(1, 1);
    Model model(shape, 0, DType::f64, device, kManyRows);
    for (Parameter* p : model.all) {
      for (double g : local_gradient(*p, 0, kBlocks, device).values()) reference += g * g;
    }
    reference = std::sqrt(reference);
  }
  for (const auto& [dp, ep] : kMeshes) {
    const MeshShape shape = MeshShape::data_expert(dp, ep);
    std::array<std::vector<double>, 2> norms;
    for (size_t pass = 0; pass < 2; ++pass) {
      norms[pass].resize(static_cast<size_t>(dp));
      run_ranks(dp, [&](int rank, const auto& world) {
        const auto device = Device::cpu(pass == 0 ? 1 : 3);
        const Mesh mesh(shape, world);
        Model model(shape, rank, DType::f64, device, kManyRows);
        GradientSync sync(model.all, mesh);
        run_step(model, sync, shape, rank, 1, device);
        norms[pass][static_cast<size_t>(rank)] = sync.gradient_norm();
      });
    }
    for (double norm : norms[0]) {
      EXPECT_NEAR(norm, reference, 1e-11 * reference) << dp << " x " << ep;
      EXPECT_EQ(norm, norms[0][0]) << "the same bits on every rank";
    }
    EXPECT_EQ(norms[0], norms[1]) << "the same bits with other thread counts";
  }
}

// The parts of the parameters that rank `rank` holds after three clipped updates.
using Values = std::map<std::string, std::vector<double>>;
std::vector<Values> clipped_updates(const char* type, const MeshShape& shape, int zero,
                                    DType compute, int micro_batches = 1,
                                    std::optional<PlantedBug> planted = std::nullopt) {
  std::vector<Values> out(static_cast<size_t>(shape.world()));
  run_ranks(shape.world(), [&](int rank, const auto& world) {
    const auto device = Device::cpu(rank % 2 + 1);
    Parallelism parallelism = with_zero(shape, zero);
    parallelism.planted = planted;
    const Mesh mesh(parallelism, world);
    Model model(shape, rank, compute, device);
    GradientSync sync(model.all, mesh, 3000);
    Options options(optimizer_fields(type));
    if (std::string(type) == "sgd") options.set("momentum", 0.9);
    const auto optimizer = make_optimizer(type, options, model.all);
    for (int step = 0; step < 3; ++step) {
      run_step(model, sync, shape, rank, micro_batches, device);
      const double norm = sync.gradient_norm();
      const double scale = clip_scale(norm, norm / 2 - step);
      if (!planted) {
        EXPECT_LT(scale, 0.5 + 1e-12);
      }
      sync.update(*optimizer, 0.1, scale);
    }
    for (Parameter* p : model.all) out[static_cast<size_t>(rank)][p->name()] = p->value().values();
  });
  return out;
}

// Data ranks alone, experts on all of them, and both; none divides the buckets.
const std::vector<std::pair<int, int>> kSharded = {{2, 1}, {3, 3}, {4, 2}};

TEST(GradientSync, ClippedUpdatesDoNotDependOnTheMesh) {
  for (const char* type : {"sgd", "adamw"}) {
    const Values whole = clipped_updates(type, MeshShape::data_expert(1, 1), 0, DType::f64)[0];
    for (const auto& [dp, ep] : kMeshes) {
      for (int zero : {0, 2}) {
        if (zero > 0 && std::pair(dp, ep) != kSharded.back()) continue;
        const MeshShape shape = MeshShape::data_expert(dp, ep);
        const auto ranks = clipped_updates(type, shape, zero, DType::f64, zero > 0 ? 2 : 1);
        for (int rank = 0; rank < dp; ++rank) {
          const auto part = static_cast<size_t>(coordinates(shape, rank)[size_t(Axis::ep)]);
          for (const auto& [name, values] : ranks[static_cast<size_t>(rank)]) {
            const auto& expected = whole.at(name);
            const size_t offset = values.size() < expected.size() ? part * values.size() : 0;
            for (size_t i = 0; i < values.size(); ++i) {
              ASSERT_NEAR(values[i], expected[offset + i], 1e-12)
                  << name << " " << type << " zero " << zero;
            }
          }
        }
      }
    }
  }
}

TEST(GradientSync, ShardedUpdatesHaveTheBitsOfWholeOnes) {
  for (const char* type : {"sgd", "adamw"}) {
    for (const auto& [dp, ep] : kSharded) {
      const MeshShape shape = MeshShape::data_expert(dp, ep);
      const auto whole = clipped_updates(type, shape, 0, DType::f32);
      EXPECT_EQ(clipped_updates(type, shape, 1, DType::f32), whole) << type << dp << ep;
      EXPECT_EQ(clipped_updates(type, shape, 2, DType::f32), whole) << type << dp << ep;
    }
  }
  const MeshShape shape = MeshShape::data_expert(4, 2);
  EXPECT_EQ(clipped_updates("adamw", shape, 1, DType::f32, 3),
            clipped_updates("adamw", shape, 0, DType::f32, 3));
}

TEST(GradientSync, PlantedBugsShow) {
  const MeshShape shape = MeshShape::data_expert(4, 2);
  const auto right = clipped_updates("adamw", shape, 1, DType::f64);
  for (const PlantedBug bug :
       {PlantedBug::gradient_twice_under_ep, PlantedBug::averaged_over_wrong_group,
        PlantedBug::norm_without_experts, PlantedBug::stale_bucket,
        PlantedBug::wrong_shard_offset}) {
    const auto wrong = clipped_updates("adamw", shape, 1, DType::f64, 1, bug);
    EXPECT_NE(wrong, right) << static_cast<int>(bug);
  }
  EXPECT_EQ(clipped_updates("adamw", shape, 1, DType::f64, 1, PlantedBug::stage_order), right);
}

TEST(GradientSync, ShardedStateTakesItsShareOfMemory) {
  run_ranks(4, [](int rank, const auto& world) {
    const MeshShape shape = MeshShape::data_expert(4, 1);
    std::array<int64_t, 3> moments{};
    std::array<int64_t, 3> gradients{};
    for (size_t zero = 0; zero < 3; ++zero) {
      const auto device = Device::cpu();
      const Mesh mesh(with_zero(shape, static_cast<int>(zero)), world);
      Model model(shape, rank, DType::f32, device, kManyRows);
      GradientSync sync(model.all, mesh);
      const auto optimizer = make_optimizer("adamw", Options(optimizer_fields("adamw")), model.all);
      run_step(model, sync, shape, rank, 2, device);
      sync.update(*optimizer, 0.1, 1.0);
      const auto memory = device->memory();
      moments[zero] = memory.of(MemoryKind::optimizer).current;
      gradients[zero] = memory.of(MemoryKind::gradient).current;
    }
    EXPECT_LE(static_cast<double>(moments[1]), 0.27 * static_cast<double>(moments[0]));
    EXPECT_EQ(moments[2], moments[1]);
    EXPECT_EQ(gradients[1], gradients[0]);
    EXPECT_LE(static_cast<double>(gradients[2]), 0.27 * static_cast<double>(gradients[0]));
  });
}

TEST(GradientSync, StartsBucketsDuringBackwardOfTheLastMicroBatchOnly) {
  run_ranks(2, [](int rank, const auto& world) {
    const MeshShape shape = MeshShape::data_expert(2, 1);
    const auto device = Device::cpu();
    const Mesh mesh(shape, world);
    Model model(shape, rank, DType::f32, device);
    GradientSync sync(model.all, mesh, 1000);
    const auto calls = [&] {
      int64_t count = 0;
      for (const auto& [key, traffic] : mesh.traffic()) {
        if (key.first == CollectiveKind::all_reduce) count += traffic.calls;
      }
      return count;
    };
    const auto micro_batch = [&](size_t down_to) {
      for (Parameter* p : model.all) p->use();
      for (size_t i = model.all.size(); i-- > down_to;) {
        model.all[i]->accumulate(local_gradient(*model.all[i], 0, 1, device));
      }
    };
    sync.begin_step();
    micro_batch(0);
    EXPECT_EQ(calls(), 0);
    sync.begin_micro_batch(true);
    micro_batch(1);  // all but the first parameter
    EXPECT_GT(calls(), 0);
    const int64_t before = calls();
    sync.finish();  // the first one counts without a gradient of this micro-batch
    EXPECT_GT(calls(), before);
    const auto expected = local_gradient(*model.all[0], 0, 1, device).values();
    const auto values = model.all[0]->gradient().values();
    for (size_t i = 0; i < values.size(); ++i) ASSERT_NEAR(values[i], 2 * expected[i], 1e-5);
  });
}

TEST(GradientSync, AParameterNobodyUsedHasAZeroGradient) {
  run_ranks(2, [](int rank, const auto& world) {
    const MeshShape shape = MeshShape::data_expert(2, 2);
    const auto device = Device::cpu();
    const Mesh mesh(shape, world);
    Model model(shape, rank, DType::f32, device);
    GradientSync sync(model.all, mesh);
    sync.begin_step();
    sync.begin_micro_batch(true);
    if (rank == 1) {  // only one rank has a gradient, of one parameter
      model.all[1]->use();
      model.all[1]->accumulate(Tensor::full({17}, DType::f32, 3.0, device));
    }
    sync.finish();
    EXPECT_EQ(model.all[1]->gradient().values(), std::vector<double>(17, 3.0));
    EXPECT_EQ(model.all[2]->gradient().values(), std::vector<double>(35, 0.0));
    EXPECT_NEAR(sync.gradient_norm(), 3.0 * std::sqrt(17.0), 1e-12);
  });
}

TEST(GradientSync, AGradientThatGrowsTooLateIsABug) {
  EXPECT_THROW(run_ranks(2,
                         [](int rank, const auto& world) {
                           const MeshShape shape = MeshShape::data_expert(2, 1);
                           const auto device = Device::cpu();
                           const Mesh mesh(shape, world);
                           Model model(shape, rank, DType::f32, device);
                           GradientSync sync(model.all, mesh);
                           sync.begin_step();
                           sync.begin_micro_batch(true);
                           const Tensor g = Tensor::full({3}, DType::f32, 1.0, device);
                           model.all[3]->accumulate(g);
                           model.all[3]->accumulate(g);
                         }),
               Error);
}

void check_traffic(const MeshShape& shape, int zero, int micro_batches) {
  run_ranks(shape.world(), [&](int rank, const auto& world) {
    const auto device = Device::cpu();
    const Mesh mesh(with_zero(shape, zero), world);
    Model model(shape, rank, DType::f32, device);
    GradientSync sync(model.all, mesh, 5000);
    const auto optimizer = make_optimizer("sgd", Options(optimizer_fields("sgd")), model.all);
    std::map<std::string, std::vector<GradientItem>> groups;
    for (const Parameter* p : model.all) {
      groups[gradient_ranks(p->layout(), shape, rank).name].push_back(
          {p->layout(), p->value().elements(), p->value().dtype()});
    }
    int64_t predicted = 0;
    for (const auto& [name, items] : groups) {
      const auto to =
          gradient_sync_bytes_to(items, shape, rank, 5000, zero, zero == 2 ? micro_batches : 1);
      predicted += std::accumulate(to.begin(), to.end(), int64_t{0});
    }
    run_step(model, sync, shape, rank, micro_batches, device);
    sync.update(*optimizer, 0.1, 1.0);
    int64_t counted = 0;
    for (const auto& [key, traffic] : mesh.traffic()) {
      if (key.second.rfind("gradient bucket", 0) == 0 || key.second == "updated values") {
        counted += traffic.bytes;
      }
    }
    EXPECT_EQ(counted, predicted);
    EXPECT_EQ(counted > 0, shape.world() > 1);
  });
}

TEST(GradientSync, TrafficIsThePredictedOne) {
  for (const auto& [dp, ep] : kMeshes) {
    for (int zero : {0, 1, 2}) {
      for (int micro_batches : {1, 3}) {
        check_traffic(MeshShape::data_expert(dp, ep), zero, micro_batches);
      }
    }
  }
}

TEST(BucketPlan, EveryParameterOnceInFallingOrder) {
  const MeshShape shape = MeshShape::data_expert(4, 2);
  std::vector<GradientItem> items;
  for (int i = 0; i < 20; ++i) {
    Layout layout = i % 3 == 2
                        ? Layout::replicated({8}, MeshKind::experts, {Axis::edp}).shard(0, Axis::ep)
                        : Layout::replicated({4}, MeshKind::attention, {Axis::dp});
    items.push_back({layout, 100 * (i % 5), i == 7 ? DType::f64 : DType::f32});
  }
  std::vector<int> seen(20, 0);
  size_t last = 20;
  for (const Bucket& bucket : plan_buckets(items, shape, 1500)) {
    int64_t elements = 0;
    for (size_t k = 0; k < bucket.parameters.size(); ++k) {
      const size_t i = bucket.parameters[k];
      ++seen[i];
      elements += items[i].elements;
      EXPECT_EQ(items[i].dtype, bucket.dtype);
      EXPECT_EQ(items[i].layout.mesh, items[bucket.parameters[0]].layout.mesh);
      if (k > 0) {
        EXPECT_LT(i, bucket.parameters[k - 1]);
      }
    }
    EXPECT_EQ(elements, bucket.elements);
    if (bucket.parameters.size() > 1) {
      EXPECT_LE(elements * 4, 1500);
    }
    EXPECT_LT(bucket.parameters.back(), last);
    last = bucket.parameters.back();
  }
  for (size_t i = 0; i < 20; ++i) EXPECT_EQ(seen[i], items[i].elements > 0 ? 1 : 0) << i;
}

TEST(ClipScale, Values) {
  EXPECT_EQ(clip_scale(2.0, 1.0), 0.5);
  EXPECT_EQ(clip_scale(0.5, 1.0), 1.0);
  EXPECT_EQ(clip_scale(5.0, 0.0), 1.0);
}

}  // namespace
}  // namespace troupe
