// The layout law again under mpirun, and the same bits as on ranks as threads.
#include <gtest/gtest.h>

#include "models/verify/layout_run.h"
#include "parallel/comm/thread/thread_world.h"
#include "tests/support/law_cases.h"
#include "tests/support/law_check.h"
#include "tests/support/mpi_test.h"

namespace troupe::laws {
namespace {

class LayoutLawMpiOf : public ::testing::TestWithParam<NamedCase> {};

TEST_P(LayoutLawMpiOf, EqualsOneRank) {
  const auto& world = testing::mpi_test_world().communicator();
  LayoutRun law{GetParam().engine};
  const LawResult alone = run_law_on_threads(law, 1);
  for (const LayoutCase& layout : kLayouts) {
    if (layout.ranks != world->size()) continue;
    law.ep = layout.ep;
    expect_same_training(alone, run_law(law, world), "ep " + std::to_string(layout.ep));
  }
}
INSTANTIATE_TEST_SUITE_P(Routers, LayoutLawMpiOf, ::testing::ValuesIn(law_cases(DType::f64)),
                         [](const auto& info) { return info.param.name; });

TEST(LayoutLawMpi, SameBitsAsThreads) {
  const auto& world = testing::mpi_test_world().communicator();
  for (DType compute : {DType::f64, DType::f32, DType::bf16}) {
    LayoutRun law{small_engine(compute, "topk")};
    law.ep = world->size();
    const uint64_t under_mpi = fingerprint(run_law(law, world));
    EXPECT_EQ(under_mpi, fingerprint(run_law_on_threads(law, world->size()))) << name(compute);
  }
}

TEST(LayoutLawMpi, StagesGiveTheSameBitsAsThreads) {
  const auto& world = testing::mpi_test_world().communicator();
  LayoutRun law{small_engine(DType::f32, "topk")};
  law.engine.model.layers = 4;
  law.engine.model.moe.insert(law.engine.model.moe.begin(), 2, std::nullopt);
  law.engine.model.tie_embeddings = true;
  for (const PipelineSchedule schedule :
       {PipelineSchedule::gpipe, PipelineSchedule::one_f_one_b, PipelineSchedule::interleaved,
        PipelineSchedule::zero_bubble}) {
    Parallelism layout;
    layout.shape[Axis::pp] = world->size();
    layout.schedule = schedule;
    if (schedule == PipelineSchedule::interleaved && world->size() == 2) layout.virtual_stages = 2;
    law.layout = layout;
    const uint64_t under_mpi = fingerprint(run_law(law, world));
    EXPECT_EQ(under_mpi, fingerprint(run_law_on_threads(law, world->size())))
        << static_cast<int>(schedule);
  }
}

// Values that come from their owners while blocks compute.
TEST(LayoutLawMpi, SpreadValuesGiveTheSameBitsAsThreads) {
  const auto& world = testing::mpi_test_world().communicator();
  LayoutRun law{small_engine(DType::f32, "topk")};
  Parallelism layout(MeshShape::data_expert(world->size(), 1));
  layout.zero = 3;
  law.layout = layout;
  const uint64_t under_mpi = fingerprint(run_law(law, world));
  EXPECT_EQ(under_mpi, fingerprint(run_law_on_threads(law, world->size())));
}

}  // namespace
}  // namespace troupe::laws
