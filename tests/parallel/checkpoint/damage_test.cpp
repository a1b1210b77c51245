// A truncated or changed file is always found, named, and the checkpoint before it taken.
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>

#include "core/base/error.h"
#include "core/base/log.h"
#include "core/base/random.h"
#include "core/io/sealed_file.h"
#include "parallel/checkpoint/directory.h"
#include "parallel/comm/self_communicator.h"
#include "parallel/comm/thread/thread_world.h"
#include "tests/parallel/checkpoint/support/state_fixture.h"

namespace troupe {
namespace {

using test::make_blank;
using test::make_state;
using test::read_file;
using test::write_file;

class CheckpointDamage : public testing::Test {
 protected:
  void SetUp() override {
    log::configure(log::Level::error, 0, true);
    for (const int64_t step : {1, 2}) {
      const State state = make_state(kOne, 0, Device::cpu(), static_cast<uint64_t>(step));
      newest_ = checkpoint::save_step(dir_.path(), step, 0, state, *world_);
    }
    good_ = read_file(newest_);
  }
  void TearDown() override { log::configure(log::Level::info, 0, true); }

  // The message of the error that verify gives, "" when it finds nothing.
  std::string found(const std::string& bytes) {
    write_file(newest_, bytes);
    return found();
  }
  std::string found() const {
    try {
      checkpoint::verify(newest_);
    } catch (const Error& error) {
      EXPECT_EQ(error.code(), ExitCode::checkpoint) << error.what();
      return error.what();
    }
    return "";
  }

  static inline const MeshShape kOne = MeshShape::data_expert(1, 1);
  test::TemporaryDirectory dir_;
  std::shared_ptr<Communicator> world_ = self_communicator();
  std::string newest_;
  std::string good_;
};

TEST_F(CheckpointDamage, TruncatedAtEveryOffset) {
  for (size_t size = good_.size() - 1;; size -= size <= 64 || size > good_.size() - 64 ? 1 : 17) {
    std::filesystem::resize_file(newest_, size);
    const std::string message = found();
    ASSERT_NE(message, "") << "cut to " << size << " bytes";
    ASSERT_NE(message.find(newest_), std::string::npos) << message;
    if (size == 0) break;
  }
  EXPECT_NE(found(good_ + "x"), "");
}

TEST_F(CheckpointDamage, TruncationNamesTheFirstTensorLost) {
  const SealedFile file(newest_);
  const SealEntry& entry = *file.seal().find("/parameters/embedding");
  const std::string message = found(good_.substr(0, static_cast<size_t>(entry.offset) + 1));
  EXPECT_NE(message.find("truncated"), std::string::npos) << message;
  EXPECT_NE(message.find(entry.path), std::string::npos) << message;
  EXPECT_NE(message.find(entry.digest.hex()), std::string::npos) << message;
}

// A quarter of them each, so that none takes long.
class FlippedBits : public CheckpointDamage, public testing::WithParamInterface<size_t> {};
INSTANTIATE_TEST_SUITE_P(CheckpointDamage, FlippedBits, testing::Range(size_t{0}, size_t{4}));

TEST_P(FlippedBits, AreFound) {
  const Random random(7, "flip");
  std::fstream file(newest_, std::ios::binary | std::ios::in | std::ios::out);
  const auto put = [&](size_t at, char byte) {
    file.seekp(static_cast<std::streamoff>(at));
    file.put(byte).flush();
  };
  // Bytes all over the file at a random bit, and some at random. (Every bit of the seal itself:
  // tests/core/io/seal_test.cpp.)
  size_t number = 0;
  for (size_t i = 0; i < good_.size() + 300; i += i < good_.size() ? 23 : 1) {
    if (number++ % 4 != GetParam()) continue;
    const size_t at = i < good_.size() ? i : random.below(i, good_.size(), 1);
    const auto mask = static_cast<char>(1U << random.below(i, 8));
    put(at, static_cast<char>(good_[at] ^ mask));
    ASSERT_NE(found(), "") << "byte " << at << " mask " << int{mask};
    put(at, good_[at]);
  }
  EXPECT_EQ(found(), "");
}

TEST_F(CheckpointDamage, AFlippedBitNamesTensorAndDigests) {
  const SealedFile file(newest_);
  const SealEntry& entry = *file.seal().find("/optimizer/first_moment/embedding");
  std::string bytes = good_;
  bytes[static_cast<size_t>(entry.offset + entry.bytes - 1)] ^= 1;
  const std::string message = found(bytes);
  const std::string wrong =
      digest_of(std::string_view(bytes).substr(static_cast<size_t>(entry.offset),
                                               static_cast<size_t>(entry.bytes)))
          .hex();
  EXPECT_NE(message.find(entry.path), std::string::npos) << message;
  EXPECT_NE(message.find(entry.digest.hex()), std::string::npos) << message;
  EXPECT_NE(message.find(wrong), std::string::npos) << message;
}

TEST_F(CheckpointDamage, TheOneBeforeIsTaken) {
  std::string bytes = good_;
  bytes[bytes.size() / 2] ^= 4;
  write_file(newest_, bytes);
  const checkpoint::Choice choice = checkpoint::newest_usable(dir_.path());
  EXPECT_EQ(choice.step, 1);
  ASSERT_EQ(choice.rejected.size(), 1U);
  EXPECT_EQ(choice.rejected[0].path, newest_);
  EXPECT_EQ(checkpoint::set_aside_newer(dir_.path(), 1), std::vector<std::string>{newest_});
  EXPECT_EQ(checkpoint::list(dir_.path()).size(), 1U);
}

TEST_F(CheckpointDamage, NoneUsableListsThemAll) {
  for (const auto& file : checkpoint::list(dir_.path())) write_file(file.path, "nothing");
  EXPECT_EQ(checkpoint::newest_usable(dir_.path()).path, "");
  EXPECT_THROW(checkpoint::newest_to_resume(dir_.path(), *world_), Error);
  EXPECT_EQ(checkpoint::newest_to_resume(dir_ / "new", *world_), "");
  try {
    checkpoint::resolve(dir_.path(), *world_);
    FAIL();
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ExitCode::checkpoint);
    EXPECT_NE(std::string(error.what()).find("step-00000001.h5"), std::string::npos);
    EXPECT_NE(std::string(error.what()).find("step-00000002.h5"), std::string::npos);
  }
}

// Also when only load sees it, on every rank with the same text, and no value is left to be used.
TEST_F(CheckpointDamage, LoadFailsTheSameOnEveryRankAndPoisons) {
  const SealedFile file(newest_);
  const SealEntry& entry = *file.seal().find("/parameters/layers.0.moe.experts.w1");
  std::string bytes = good_;
  bytes[static_cast<size_t>(entry.offset)] ^= 1;
  write_file(newest_, bytes);
  const MeshShape shape = MeshShape::data_expert(4, 2);
  std::array<std::string, 4> messages;
  std::array<bool, 4> poisoned{};
  run_ranks(4, [&](int rank, const std::shared_ptr<Communicator>& world) {
    const auto me = static_cast<size_t>(rank);
    State state = make_blank(shape, rank, Device::cpu());
    try {
      checkpoint::load(newest_, state, *world);
    } catch (const Error& error) {
      EXPECT_EQ(error.code(), ExitCode::checkpoint);
      messages[me] = error.what();
    }
    poisoned[me] = true;
    for (const StateTensor& tensor : state.tensors) {
      if (!is_floating(tensor.tensor.dtype())) continue;
      for (const double value : tensor.tensor.values()) poisoned[me] &= value != value;
    }
    EXPECT_EQ(std::get<int64_t>(state.scalars[0].value), 999);
  });
  for (size_t rank = 0; rank < 4; ++rank) {
    EXPECT_EQ(messages[rank], messages[0]);
    EXPECT_TRUE(poisoned[rank]);
  }
  EXPECT_NE(messages[0].find("layers.0.moe.experts.w1"), std::string::npos) << messages[0];
  EXPECT_NE(messages[0].find(entry.digest.hex()), std::string::npos) << messages[0];
}

TEST_F(CheckpointDamage, OtherFilesAreNamedAsWhatTheyAre) {
  EXPECT_NE(found("\x89HDF\r\n\x1a\n").find("not a Troupe checkpoint"), std::string::npos);
  EXPECT_NE(found("").find("not a Troupe checkpoint"), std::string::npos);
  std::string version = good_;
  version.replace(0, 19, "troupe checkpoint 2");
  EXPECT_NE(found(version).find("version 2"), std::string::npos);
  try {
    checkpoint::verify(dir_ / "missing.h5");
    FAIL();
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ExitCode::checkpoint);
  }
}

}  // namespace
}  // namespace troupe
