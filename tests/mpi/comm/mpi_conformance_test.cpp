#include <gtest/gtest.h>

#include "parallel/comm/thread/thread_world.h"
#include "tests/parallel/comm/conformance.h"
#include "tests/support/mpi_test.h"

namespace troupe {
namespace {

using testing::mpi_test_world;

class MpiConformance : public ::testing::TestWithParam<testing::ConformanceCase> {};
TEST_P(MpiConformance, Keeps) { GetParam().run(*mpi_test_world().communicator()); }
INSTANTIATE_TEST_SUITE_P(Mpi, MpiConformance, ::testing::ValuesIn(testing::conformance_cases()),
                         [](const auto& info) { return info.param.name; });

TEST(MpiWorld, GivesTheBitsOfThreadRanks) {
  Communicator& world = *mpi_test_world().communicator();
  const uint64_t hash = testing::conformance_hash(world);
  if (world.rank() != 0) return;
  run_ranks(world.size(), [&](int, const auto& threads) {
    EXPECT_EQ(testing::conformance_hash(*threads), hash);
  });
}

TEST(MpiWorld, KnowsItsHost) {
  EXPECT_TRUE(started_by_mpi());
  EXPECT_EQ(mpi_test_world().local_ranks(), mpi_test_world().size());
}

}  // namespace
}  // namespace troupe
