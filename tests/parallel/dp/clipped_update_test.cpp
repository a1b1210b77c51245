// Updates after gradients are summed, clipped and, with zero, divided among their owners.
#include <gtest/gtest.h>

#include <map>

#include "core/optim/optimizer.h"
#include "tests/parallel/dp/gradient_model.h"

namespace troupe {
namespace {

using test::kMeshes;
using test::Model;
using test::run_step;
using test::with_zero;

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

}  // namespace
}  // namespace troupe
