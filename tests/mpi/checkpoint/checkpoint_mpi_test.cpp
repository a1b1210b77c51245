// Checkpoints under mpirun: the file of N processes is the file of one, and loads on any layout.
#include <gtest/gtest.h>

#include <optional>

#include "core/base/error.h"
#include "parallel/checkpoint/directory.h"
#include "parallel/comm/agreement.h"
#include "parallel/comm/self_communicator.h"
#include "tests/parallel/checkpoint/support/state_fixture.h"
#include "tests/support/mpi_test.h"

namespace troupe {
namespace {

using test::difference;
using test::make_blank;
using test::make_state;

class CheckpointMpi : public ::testing::Test {
 protected:
  void SetUp() override {
    if (world_.rank() == 0) dir_.emplace();
    path_ = broadcast_text(dir_ ? dir_->path() : "", 0, world_, "test directory");
  }
  void TearDown() override { world_.barrier("test end").finish(); }

  Communicator& world_ = *testing::mpi_test_world().communicator();
  std::optional<test::TemporaryDirectory> dir_;
  std::string path_;
};

TEST_F(CheckpointMpi, EveryExpertLayout) {
  const int ranks = world_.size();
  const auto device = Device::cpu();
  const State alone = make_state(MeshShape::data_expert(1, 1), 0, device, 6);
  std::string expected;
  if (world_.rank() == 0) {
    checkpoint::save(path_ + "/alone.h5", alone, *self_communicator());
    expected = test::read_file(path_ + "/alone.h5");
  }
  for (int ep = 1; ep <= ranks; ++ep) {
    if (ranks % ep != 0 || 8 % ep != 0) continue;
    const MeshShape shape = MeshShape::data_expert(ranks, ep);
    const State state = make_state(shape, world_.rank(), device, 6);
    const std::string file =
        checkpoint::save_step(path_, ep, 0, state, world_, {.config = {}, .piece_bytes = 100});
    if (world_.rank() == 0) {
      EXPECT_EQ(test::read_file(file), expected) << "ep " << ep;
    }
    for (int other = 1; other <= ranks; ++other) {
      if (ranks % other != 0 || 8 % other != 0) continue;
      const MeshShape target = MeshShape::data_expert(ranks, other);
      State loaded = make_blank(target, world_.rank(), device);
      checkpoint::load(file, loaded, world_);
      EXPECT_EQ(difference(make_state(target, world_.rank(), device, 6), loaded), "");
    }
  }
}

TEST_F(CheckpointMpi, AFailureIsTheSameOnEveryRank) {
  const MeshShape shape = MeshShape::data_expert(world_.size(), 1);
  State state = make_blank(shape, world_.rank(), Device::cpu());
  if (world_.rank() == 0) test::write_file(path_ + "/bad.h5", "damaged");
  const auto failure = attempt([&] { checkpoint::load(path_ + "/bad.h5", state, world_); });
  ASSERT_TRUE(failure.has_value());
  EXPECT_EQ(failure->code, ExitCode::checkpoint);
  EXPECT_EQ(failure->message, broadcast_text(failure->message, 0, world_, "test"));
}

}  // namespace
}  // namespace troupe
