#include "core/device/cpu/parallel_for.h"

#include <gtest/gtest.h>

#include <atomic>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

namespace troupe {
namespace {

TEST(ParallelFor, RunsEachPieceOnce) {
  for (int threads : {1, 2, 4}) {
    const auto device = Device::cpu(threads);
    for (int64_t pieces : {0, 1, 2, 3, 1000}) {
      std::vector<std::atomic<int>> runs(static_cast<size_t>(pieces));
      std::atomic<bool> index_ok{true};
      parallel_for(device->stream(), pieces, [&](int64_t piece) {
        ++runs[static_cast<size_t>(piece)];
        if (thread_index() < 0 || thread_index() >= threads) index_ok = false;
      });
      for (const auto& count : runs) EXPECT_EQ(count, 1);
      EXPECT_TRUE(index_ok);
    }
  }
}

// So many pieces that the loop comes back only if the exception ends it, whoever runs first.
TEST(ParallelFor, ThrowsWhatAPieceThrew) {
  constexpr int64_t kWithoutEnd = int64_t{1} << 62;
  for (int threads : {1, 4}) {
    const auto device = Device::cpu(threads);
    try {
      parallel_for(device->stream(), kWithoutEnd, [&](int64_t piece) {
        if (piece == 10) throw std::runtime_error("piece 10");
      });
      FAIL();
    } catch (const std::runtime_error& error) {
      EXPECT_STREQ(error.what(), "piece 10");
    }
    // The team still works.
    std::atomic<int64_t> sum{0};
    parallel_for(device->stream(), 100, [&](int64_t piece) { sum += piece; });
    EXPECT_EQ(sum, 4950);
  }
}

// A thread that threw claims no other piece.
TEST(ParallelFor, EachThreadThrowsAtMostOnce) {
  for (int threads : {1, 4}) {
    const auto device = Device::cpu(threads);
    std::atomic<int> thrown{0};
    EXPECT_THROW(parallel_for(device->stream(), 10000,
                              [&](int64_t piece) {
                                ++thrown;
                                throw std::runtime_error(std::to_string(piece));
                              }),
                 std::runtime_error);
    EXPECT_GE(thrown, 1);
    EXPECT_LE(thrown, threads);
  }
}

TEST(ParallelFor, NestedLoopsRunOnTheirThread) {
  const auto device = Device::cpu(4);
  std::atomic<int64_t> sum{0};
  parallel_for(device->stream(), 8, [&](int64_t outer) {
    const int mine = thread_index();
    parallel_for(device->stream(), 8, [&](int64_t inner) {
      EXPECT_EQ(thread_index(), mine);
      sum += outer * inner;
    });
  });
  EXPECT_EQ(sum, 28 * 28);
}

TEST(ParallelFor, ThreadsOfRanksHaveTheirOwnTeams) {
  std::vector<std::thread> ranks;
  std::vector<int64_t> sums(4);
  for (size_t r = 0; r < sums.size(); ++r) {
    ranks.emplace_back([&sums, r] {
      const auto device = Device::cpu(2);
      std::atomic<int64_t> sum{0};
      for (int i = 0; i < 50; ++i) {
        parallel_for(device->stream(), 10, [&](int64_t piece) { sum += piece; });
      }
      sums[r] = sum;
    });
  }
  for (std::thread& rank : ranks) rank.join();
  EXPECT_EQ(sums, (std::vector<int64_t>(4, 2250)));
}

}  // namespace
}  // namespace troupe
