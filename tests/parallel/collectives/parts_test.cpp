#include "parallel/collectives/parts.h"

#include <gtest/gtest.h>

#include "core/autograd/tape.h"
#include "core/base/error.h"
#include "parallel/comm/thread/thread_world.h"

namespace troupe {
namespace {

constexpr int64_t kColumns = 2;

Tensor numbered(int64_t rows, double first, const std::shared_ptr<Device>& device) {
  std::vector<double> values;
  for (int64_t i = 0; i < rows * kColumns; ++i) values.push_back(first + static_cast<double>(i));
  return Tensor::from(values, Shape{rows, kColumns}, DType::f64, device);
}

// Rank r holds 2 r rows (rank 0 none), numbered from 100 r.
TEST(Parts, GatherPutsTheRowsOfAllInRankOrderAndSumsGradients) {
  run_ranks(3, [](int rank, std::shared_ptr<Communicator> world) {
    const auto device = Device::cpu(1);
    const std::vector<int64_t> counts = {0, 2, 4};
    std::vector<double> dx;
    const Tensor x =
        leaf(numbered(2 * rank, 100.0 * rank, device), [&](Tensor g) { dx = g.values(); });
    const Tensor y = all_gather_parts(x, counts, *world, "test");
    std::vector<double> wanted = numbered(2, 100.0, device).values();
    for (double value : numbered(4, 200.0, device).values()) wanted.push_back(value);
    EXPECT_EQ(y.values(), wanted);
    const Tensor seed = numbered(6, 10.0 * rank, device);
    backward(std::span(&y, 1), std::span(&seed, 1));
    // 3 ranks give 0, 10 and 20 more than the number of the element.
    const int64_t first = rank == 2 ? 4 : 0;
    for (size_t i = 0; i < dx.size(); ++i)
      EXPECT_EQ(dx[i], 30.0 + 3.0 * static_cast<double>(first + static_cast<int64_t>(i)));
    EXPECT_EQ(dx.size(), static_cast<size_t>(2 * rank * kColumns));
    const auto& traffic = world->traffic();
    EXPECT_EQ(traffic.at({CollectiveKind::all_to_all, "test"}).bytes, 2 * 2 * rank * kColumns * 8);
    EXPECT_EQ(traffic.at({CollectiveKind::all_to_all, "test gradient"}).bytes,
              (6 - 2 * rank) * kColumns * 8);
  });
}

TEST(Parts, ReduceHandsBackTheSumAndGathersGradients) {
  run_ranks(3, [](int rank, std::shared_ptr<Communicator> world) {
    const auto device = Device::cpu(1);
    const std::vector<int64_t> counts = {1, 0, 2};
    std::vector<double> dx;
    const Tensor x = leaf(numbered(3, 10.0 * rank, device), [&](Tensor g) { dx = g.values(); });
    const Tensor y = reduce_scatter_parts(x, counts, *world, "test");
    const double first = rank == 2 ? 2.0 : 0.0;
    ASSERT_EQ(y.dim(0), counts[static_cast<size_t>(rank)]);
    const std::vector<double> values = y.values();
    for (size_t i = 0; i < values.size(); ++i)
      EXPECT_EQ(values[i], 30.0 + 3.0 * (first + static_cast<double>(i)));
    const Tensor seed = numbered(y.dim(0), 100.0 * rank, device);
    backward(std::span(&y, 1), std::span(&seed, 1));
    EXPECT_EQ(dx, (std::vector<double>{0.0, 1.0, 200.0, 201.0, 202.0, 203.0}));
  });
}

TEST(Parts, ALoneRankPassesOn) {
  run_ranks(1, [](int, std::shared_ptr<Communicator> world) {
    const auto device = Device::cpu(1);
    const std::vector<int64_t> counts = {3};
    const Tensor x = numbered(3, 1.0, device);
    EXPECT_EQ(all_gather_parts(x, counts, *world, "test").view().data, x.view().data);
    EXPECT_EQ(reduce_scatter_parts(x, counts, *world, "test").view().data, x.view().data);
    EXPECT_TRUE(world->traffic().empty());
    const std::vector<int64_t> wrong = {2};
    EXPECT_THROW(all_gather_parts(x, wrong, *world, "test"), Error);
  });
}

// All ranks hold x alike, take their part, and put the parts together again.
TEST(Parts, OwnPartAndAllPartsAreInverse) {
  for (const std::vector<int64_t>& counts : {std::vector<int64_t>{2, 0, 3}, {2, 2, 2}}) {
    run_ranks(3, [&](int rank, std::shared_ptr<Communicator> world) {
      const auto device = Device::cpu(1);
      const int64_t rows = counts[0] + counts[1] + counts[2];
      const int64_t first = rank == 0 ? 0 : rank == 1 ? counts[0] : counts[0] + counts[1];
      const int64_t own = counts[static_cast<size_t>(rank)];
      std::vector<double> dx;
      const Tensor x = leaf(numbered(rows, 0.0, device), [&](Tensor g) { dx = g.values(); });
      const Tensor mine = slice_rows(x, counts, *world, "own");
      const auto begin = static_cast<double>(first * kColumns);
      EXPECT_EQ(mine.values(), numbered(own, begin, device).values());
      const Tensor all = all_parts(mine, counts, *world, "all");
      EXPECT_EQ(all.values(), numbered(rows, 0.0, device).values());
      const Tensor seed = numbered(rows, 50.0, device);  // alike on all ranks, and so is dx
      backward(std::span(&all, 1), std::span(&seed, 1));
      EXPECT_EQ(dx, seed.values());
    });
  }
}

}  // namespace
}  // namespace troupe
