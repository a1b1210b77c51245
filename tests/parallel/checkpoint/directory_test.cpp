#include "parallel/checkpoint/directory.h"

#include <gtest/gtest.h>

#include <filesystem>

#include "core/base/error.h"
#include "parallel/comm/self_communicator.h"
#include "parallel/comm/thread/thread_world.h"
#include "tests/parallel/checkpoint/support/state_fixture.h"

namespace troupe {
namespace {

using test::names_in;
using Names = std::vector<std::string>;

State small(int64_t step) {
  State state;
  state.scalars = {{"step", step}};
  return state;
}

TEST(CheckpointDirectory, NamesSortByStep) {
  EXPECT_EQ(checkpoint::file_name(1200), "step-00001200.h5");
  EXPECT_EQ(checkpoint::file_name(123456789), "step-123456789.h5");
}

TEST(CheckpointDirectory, KeepsTheNewest) {
  const test::TemporaryDirectory dir;
  const auto world = self_communicator();
  for (int64_t step = 1; step <= 5; ++step) {
    checkpoint::save_step(dir.path(), step * 100, 2, small(step), *world);
  }
  const std::string folder = checkpoint::directory_of(dir.path());
  EXPECT_EQ(names_in(folder), (Names{"step-00000400.h5", "step-00000500.h5"}));
  checkpoint::save_step(dir.path(), 600, 0, small(6), *world);
  EXPECT_EQ(names_in(folder).size(), 3U);
}

TEST(CheckpointDirectory, OnlyCheckpointsAreListedOrRemoved) {
  const test::TemporaryDirectory dir;
  const auto world = self_communicator();
  checkpoint::save_step(dir.path(), 1, 1, small(1), *world);
  const std::string folder = checkpoint::directory_of(dir.path());
  for (const char* name :
       {"mine.h5", "step-1.h5", "step-0000000x.h5", "step-00000009.h5.superseded", "notes.tmp"}) {
    test::write_file(folder + "/" + name, "x");
  }
  test::write_file(folder + "/step-00000007.h5.tmp", "half");
  EXPECT_EQ(checkpoint::list(dir.path()).size(), 1U);
  EXPECT_EQ(checkpoint::list(folder).size(), 1U);
  checkpoint::save_step(dir.path(), 2, 1, small(2), *world);
  EXPECT_EQ(names_in(folder),
            (Names{"mine.h5", "notes.tmp", "step-00000002.h5", "step-00000009.h5.superseded",
                   "step-0000000x.h5", "step-1.h5"}));
}

TEST(CheckpointDirectory, NothingThere) {
  const test::TemporaryDirectory dir;
  EXPECT_TRUE(checkpoint::list(dir / "none").empty());
  EXPECT_EQ(checkpoint::newest_usable(dir.path()).path, "");
  const auto world = self_communicator();
  for (const std::string& path : {dir.path(), dir / "none"}) {
    try {
      checkpoint::resolve(path, *world);
      FAIL();
    } catch (const Error& error) {
      EXPECT_EQ(error.code(), ExitCode::checkpoint);
    }
  }
}

TEST(CheckpointDirectory, AllRanksGetTheSameChoice) {
  const test::TemporaryDirectory dir;
  const auto alone = self_communicator();
  checkpoint::save_step(dir.path(), 3, 0, small(3), *alone);
  const std::string newest = checkpoint::save_step(dir.path(), 4, 0, small(4), *alone);
  test::write_file(newest, "damaged");
  run_ranks(3, [&](int, const std::shared_ptr<Communicator>& world) {
    const auto choice = checkpoint::newest_usable(dir.path(), *world);
    EXPECT_EQ(choice.step, 3);
    ASSERT_EQ(choice.rejected.size(), 1U);
    EXPECT_EQ(choice.rejected[0].path, newest);
    EXPECT_EQ(checkpoint::resolve(dir.path(), *world), choice.path);
    EXPECT_EQ(checkpoint::resolve(choice.path, *world), choice.path);
  });
}

}  // namespace
}  // namespace troupe
