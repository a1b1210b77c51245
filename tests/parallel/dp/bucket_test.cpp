// Buckets of gradients: how they are planned, and what they send.
#include <gtest/gtest.h>

#include <map>
#include <numeric>

#include "core/optim/optimizer.h"
#include "parallel/mesh/rank_group.h"
#include "tests/parallel/dp/gradient_model.h"

namespace troupe {
namespace {

using test::kMeshes;
using test::Model;
using test::run_step;
using test::with_zero;

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
