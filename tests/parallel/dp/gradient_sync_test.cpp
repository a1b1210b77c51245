#include "parallel/dp/gradient_sync.h"

#include <gtest/gtest.h>

#include <cmath>

#include "core/base/error.h"
#include "core/optim/optimizer.h"
#include "parallel/comm/self_communicator.h"
#include "tests/parallel/dp/gradient_model.h"

namespace troupe {
namespace {

using test::kBlocks;
using test::kManyRows;
using test::kMeshes;
using test::local_gradient;
using test::Model;
using test::run_step;
using test::with_zero;

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

}  // namespace
}  // namespace troupe
