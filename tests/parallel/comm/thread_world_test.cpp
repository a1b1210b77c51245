#include "parallel/comm/thread/thread_world.h"

#include <gtest/gtest.h>

#include <atomic>
#include <stdexcept>
#include <thread>

#include "core/tensor/tensor.h"
#include "parallel/comm/self_communicator.h"
#include "tests/parallel/comm/conformance.h"

namespace troupe {
namespace {

using testing::conformance_cases;
using testing::ConformanceCase;

CommOptions quick() {
  CommOptions options;
  options.timeout = std::chrono::seconds(60);
  return options;
}

class ThreadConformance : public ::testing::TestWithParam<std::tuple<int, ConformanceCase>> {};

TEST_P(ThreadConformance, Keeps) {
  const auto& [ranks, one] = GetParam();
  run_ranks(
      ranks, [&](int, const auto& world) { one.run(*world); }, quick());
}
// Messages cut into tiny pieces: the path of messages above 2^31 bytes.
TEST_P(ThreadConformance, KeepsInSmallChunks) {
  const auto& [ranks, one] = GetParam();
  CommOptions options = quick();
  options.chunk_bytes = 3000;
  options.segment_bytes = 20000;
  run_ranks(
      ranks, [&](int, const auto& world) { one.run(*world); }, options);
}
INSTANTIATE_TEST_SUITE_P(Ranks, ThreadConformance,
                         ::testing::Combine(::testing::Values(1, 2, 3, 4, 5),
                                            ::testing::ValuesIn(conformance_cases())),
                         [](const auto& info) {
                           return std::get<1>(info.param).name + "_" +
                                  std::to_string(std::get<0>(info.param));
                         });

class SelfConformance : public ::testing::TestWithParam<ConformanceCase> {};
TEST_P(SelfConformance, Keeps) { GetParam().run(*self_communicator()); }
INSTANTIATE_TEST_SUITE_P(Self, SelfConformance, ::testing::ValuesIn(conformance_cases()),
                         [](const auto& info) { return info.param.name; });

TEST(ThreadWorld, BitsDoNotDependOnChunksOrSegments) {
  std::array<uint64_t, 3> hashes{};
  const std::array<std::pair<int64_t, int64_t>, 3> sizes = {
      {{1 << 30, 1 << 20}, {1000, 4096}, {64, 512}}};
  for (size_t i = 0; i < sizes.size(); ++i) {
    CommOptions options = quick();
    options.chunk_bytes = sizes[i].first;
    options.segment_bytes = sizes[i].second;
    run_ranks(
        3,
        [&](int rank, const auto& world) {
          const uint64_t hash = testing::conformance_hash(*world);
          if (rank == 0) hashes[i] = hash;
        },
        options);
  }
  EXPECT_EQ(hashes[0], hashes[1]);
  EXPECT_EQ(hashes[0], hashes[2]);
}

TEST(ThreadWorld, SelfAndOneThreadRankGiveTheSameBits) {
  uint64_t threaded = 0;
  run_ranks(1, [&](int, const auto& world) { threaded = testing::conformance_hash(*world); });
  EXPECT_EQ(threaded, testing::conformance_hash(*self_communicator()));
}

struct Boom : std::logic_error {
  using std::logic_error::logic_error;
};

TEST(ThreadWorld, TheRootCauseIsThrownAndPeersLearnIt) {
  std::atomic<int> learned{0};
  const auto job = [&](int rank, const std::shared_ptr<Communicator>& world) {
    auto pair = world->split(rank / 2, 0, "pair");
    if (rank == 1) throw Boom("the cause");
    const auto device = Device::cpu();
    const Tensor data = Tensor::zeros({100000}, DType::f32, device);
    try {
      // Ranks 2 and 3 meet rank 1 only in the world, rank 0 in the pair.
      Communicator& group = rank == 0 ? *pair : *world;
      group.all_reduce_sum(data.view(), "doomed").finish();
    } catch (const Error& error) {
      EXPECT_STREQ(error.what(), "rank 1 failed: the cause");
      ++learned;
      throw;
    }
  };
  EXPECT_THROW(run_ranks(4, job, quick()), Boom);
  EXPECT_EQ(learned, 3);
}

TEST(ThreadWorld, PoisonCarriesTheExitCode) {
  const auto job = [&](int rank, const std::shared_ptr<Communicator>& world) {
    if (rank == 2) {
      world->world().poison("the disk is full", ExitCode::resource);
      return;
    }
    try {
      world->barrier("never").finish();
      ADD_FAILURE() << "passed a barrier that rank 2 never entered";
    } catch (const Error& error) {
      EXPECT_EQ(error.code(), ExitCode::resource);
      throw;
    }
  };
  try {
    run_ranks(3, job, quick());
    ADD_FAILURE();
  } catch (const Error& error) {
    EXPECT_STREQ(error.what(), "rank 2 failed: the disk is full");
    EXPECT_EQ(error.code(), ExitCode::resource);
  }
}

TEST(ThreadWorld, ADeadlineNamesWhatWasAwaited) {
  std::atomic<bool> given_up{false};
  const auto job = [&](int rank, const std::shared_ptr<Communicator>& world) {
    auto group = world->split(0, 0, "dp");
    if (rank == 2) {  // silent until the others have given up
      for (int i = 0; i < 6000 && !given_up; ++i) {
        std::this_thread::sleep_for(std::chrono::milliseconds(10));
      }
      return;
    }
    const auto device = Device::cpu();
    const Tensor data = Tensor::zeros({10}, DType::f32, device);
    world->world().set_timeout(std::chrono::milliseconds(200));
    try {
      group->all_reduce_sum(data.view(), "bucket 3").finish();
    } catch (...) {
      given_up = true;
      throw;
    }
  };
  try {
    run_ranks(3, job, quick());
    ADD_FAILURE();
  } catch (const Error& error) {
    const std::string text = error.what();
    EXPECT_EQ(error.code(), ExitCode::distributed);
    EXPECT_NE(text.find("no answer from rank 2 within 0.2 s"), std::string::npos) << text;
    EXPECT_NE(text.find("all_reduce \"bucket 3\" in group dp"), std::string::npos) << text;
  }
}

TEST(ThreadWorld, DifferentOperationsAreNoticed) {
  const auto job = [&](int rank, const std::shared_ptr<Communicator>& world) {
    const auto device = Device::cpu();
    const Tensor data = Tensor::zeros({rank == 0 ? 10 : 12}, DType::f32, device);
    world->all_reduce_sum(data.view(), "sum").finish();
  };
  try {
    run_ranks(2, job, quick());
    ADD_FAILURE();
  } catch (const Error& error) {
    EXPECT_NE(std::string(error.what()).find("the operations of the ranks differ"),
              std::string::npos)
        << error.what();
  }
}

// A rank that unwinds takes back its messages: a peer must not write into freed memory afterwards
// (the address sanitizer watches), and must not wait for the deadline.
TEST(ThreadWorld, UnwindingTakesMessagesBack) {
  for (int round = 0; round < 20; ++round) {
    const auto job = [&](int rank, const std::shared_ptr<Communicator>& world) {
      std::vector<float> data(50000, static_cast<float>(rank));
      const View view{data.data(), DType::f32, {50000}, {1}, DeviceKind::cpu};
      Work work = world->all_reduce_sum(view, "interrupted");
      if (rank == 0) throw Boom("mid-way");
      work.finish();
    };
    EXPECT_THROW(run_ranks(3, job, quick()), Boom);
  }
}

TEST(ThreadWorld, ScratchIsCountedAndBounded) {
  CommOptions options = quick();
  options.segment_bytes = 4096;
  run_ranks(
      2,
      [](int, const auto& world) {
        const auto device = Device::cpu();
        world->world().set_device(device);
        std::vector<float> data(1 << 20, 1.0F);
        const View view{data.data(), DType::f32, {1 << 20}, {1}, DeviceKind::cpu};
        world->all_reduce_sum(view, "big").finish();
        const MemoryUse use = device->memory().of(MemoryKind::communication);
        EXPECT_GT(use.peak, 0);
        EXPECT_LE(use.peak, 3 * 2 * 4096);
        EXPECT_EQ(use.current, 0);
      },
      options);
}

}  // namespace
}  // namespace troupe
