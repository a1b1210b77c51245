// A save beside training has the bits of the moment at which it was started, and fails as any save.
#include "parallel/checkpoint/async_saver.h"

#include <gtest/gtest.h>

#include <cstring>

#include "parallel/checkpoint/directory.h"
#include "parallel/comm/thread/thread_world.h"
#include "tests/parallel/checkpoint/support/state_fixture.h"

namespace troupe {
namespace {

using test::make_state;

const checkpoint::SaveOptions kOptions{.config = "version: 1\n", .piece_bytes = 100};

// As training does: goes on when all ranks are ready.
std::string save_step_by_step(checkpoint::AsyncSaver& saver, Communicator& world) {
  std::optional<std::string> path;
  while (saver.busy()) {
    int64_t ready = saver.ready() ? 1 : 0;
    world.all_reduce_sum(View{&ready, DType::i64, Shape{1}, Shape{1}}, "ready").finish();
    if (ready == world.size()) path = saver.advance();
  }
  return *path;
}

void overwrite(State& state) {
  for (StateTensor& entry : state.tensors) {
    if (entry.tensor.contiguous()) {
      std::memset(entry.tensor.view().data, 0x55, entry.tensor.bytes());
    }
  }
}

TEST(AsyncSaver, HasTheBitsOfTheMomentOfItsStart) {
  const test::TemporaryDirectory dir;
  for (const auto& [ranks, ep] : {std::pair{1, 1}, {2, 2}, {4, 2}}) {
    const MeshShape shape = MeshShape::data_expert(ranks, ep);
    run_ranks(ranks, [&](int rank, const std::shared_ptr<Communicator>& world) {
      const auto device = Device::cpu(1);
      checkpoint::AsyncSaver saver(world, device);
      EXPECT_FALSE(saver.ready());
      for (const int64_t step : {1, 2}) {
        State state = make_state(shape, rank, device, 7);
        saver.start(dir / "async", step, 0, state, kOptions);
        overwrite(state);
        EXPECT_EQ(save_step_by_step(saver, *world),
                  checkpoint::directory_of(dir / "async") + "/" + checkpoint::file_name(step));
      }
      // The second copy lies where the first one lay.
      const int64_t copied = device->memory().of(MemoryKind::checkpoint).peak;
      EXPECT_EQ(device->memory().of(MemoryKind::checkpoint).current, copied);
      EXPECT_GT(copied, 0);
      checkpoint::save_step(dir / "whole", 1, 0, make_state(shape, rank, device, 7), *world,
                            kOptions);
    });
    const std::string whole =
        test::read_file(checkpoint::directory_of(dir / "whole") + "/step-00000001.h5");
    for (const auto& file : checkpoint::list(dir / "async")) {
      EXPECT_TRUE(test::read_file(file.path) == whole) << file.path << " on " << ranks << " ranks";
    }
    EXPECT_EQ(test::names_in(checkpoint::directory_of(dir / "async")).size(), 2U);
  }
}

TEST(AsyncSaver, TheNextSaveWaitsAndOldFilesGo) {
  const test::TemporaryDirectory dir;
  const MeshShape shape = MeshShape::data_expert(2, 1);
  run_ranks(2, [&](int rank, const std::shared_ptr<Communicator>& world) {
    const auto device = Device::cpu(1);
    checkpoint::AsyncSaver saver(world, device);
    for (int64_t step = 1; step <= 3; ++step) {
      saver.start(dir.path(), step, 2, make_state(shape, rank, device, 1), kOptions);
    }
    EXPECT_EQ(saver.finish(), checkpoint::directory_of(dir.path()) + "/step-00000003.h5");
    EXPECT_EQ(saver.finish(), std::nullopt);
  });
  EXPECT_EQ(test::names_in(checkpoint::directory_of(dir.path())),
            (std::vector<std::string>{"step-00000002.h5", "step-00000003.h5"}));
}

TEST(AsyncSaver, AFailureIsTheSameAsOfASaveThatWaits) {
  const test::TemporaryDirectory dir;
  test::write_file(dir / "checkpoints", "a file where a folder should be");
  const MeshShape shape = MeshShape::data_expert(2, 1);
  run_ranks(2, [&](int rank, const std::shared_ptr<Communicator>& world) {
    const auto device = Device::cpu(1);
    const State state = make_state(shape, rank, device, 1);
    const auto waiting =
        attempt([&] { checkpoint::save_step(dir.path(), 1, 0, state, *world, kOptions); });
    checkpoint::AsyncSaver saver(world, device);
    saver.start(dir.path(), 1, 0, state, kOptions);
    const auto beside = attempt([&] { saver.finish(); });
    ASSERT_TRUE(waiting && beside);
    EXPECT_EQ(beside->code, ExitCode::resource);
    EXPECT_EQ(beside->message, waiting->message);
    EXPECT_FALSE(saver.busy());
  });
}

TEST(AsyncSaver, WhatIsGivenUpLeavesNothing) {
  const test::TemporaryDirectory dir;
  const MeshShape shape = MeshShape::data_expert(2, 1);
  run_ranks(2, [&](int rank, const std::shared_ptr<Communicator>& world) {
    const auto device = Device::cpu(1);
    checkpoint::AsyncSaver saver(world, device);
    saver.start(dir.path(), 1, 0, make_state(shape, rank, device, 1), kOptions);
    saver.advance();
  });
  EXPECT_EQ(test::names_in(checkpoint::directory_of(dir.path())), std::vector<std::string>{});
}

}  // namespace
}  // namespace troupe
