// A save that is killed, or whose file calls fail, at every single call: the newest complete
// checkpoint stays usable, and nothing half-done ever has a name that matches *.h5.
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <functional>

#include "core/base/error.h"
#include "core/base/log.h"
#include "core/io/atomic_file.h"
#include "core/io/directory_lock.h"
#include "parallel/checkpoint/async_saver.h"
#include "parallel/checkpoint/directory.h"
#include "parallel/checkpoint/structure_check.h"
#include "parallel/comm/self_communicator.h"
#include "parallel/comm/thread/thread_world.h"
#include "tests/parallel/checkpoint/crash/io_seam.h"
#include "tests/parallel/checkpoint/support/state_fixture.h"

namespace troupe {
namespace {

namespace seam = test::io_seam;
using test::difference;
using test::make_blank;
using test::make_state;

const MeshShape kOne = MeshShape::data_expert(1, 1);

// shard_above: 0 writes a manifest and a shard.
void save_number(const std::string& run, int64_t step, int64_t keep,
                 int64_t shard_above = 1 << 30) {
  const auto world = self_communicator();
  const State state = make_state(kOne, 0, Device::cpu(), static_cast<uint64_t>(step));
  checkpoint::save_step(
      run, step, keep, state, *world,
      {.config = "version: 1\n", .piece_bytes = 1 << 12, .shard_above = shard_above});
}

// "" when the newest usable checkpoint is one of `allowed` and loads with the right bits.
std::string check_newest(const std::string& run, const std::vector<int64_t>& allowed) {
  const checkpoint::Choice choice = checkpoint::newest_usable(run);
  if (!choice.rejected.empty()) return "rejected: " + choice.rejected[0].reason;
  if (choice.path.empty()) return "no checkpoint";
  if (std::count(allowed.begin(), allowed.end(), choice.step) == 0) {
    return "step " + std::to_string(choice.step);
  }
  const auto world = self_communicator();
  const auto device = Device::cpu();
  State loaded = make_blank(kOne, 0, device);
  checkpoint::load(choice.path, loaded, *world);
  return difference(make_state(kOne, 0, device, static_cast<uint64_t>(choice.step)), loaded);
}

int exit_status(const std::function<void()>& work) {
  const pid_t child = ::fork();
  if (child == 0) {
    try {
      work();
    } catch (...) {
      ::_exit(1);
    }
    ::_exit(0);
  }
  int status = 0;
  ::waitpid(child, &status, 0);
  return WIFEXITED(status) ? WEXITSTATUS(status) : 1000 + status;
}

int64_t calls_of_a_save(int64_t shard_above = 1 << 30) {
  const test::TemporaryDirectory dir;
  save_number(dir.path(), 1, 0);
  seam::start(seam::Mode::count);
  save_number(dir.path(), 2, 1, shard_above);
  return seam::stop();
}

void kill_everywhere(bool torn) {
  const int64_t calls = calls_of_a_save();
  ASSERT_GT(calls, 60);
  int survived_new = 0;
  for (int64_t at = 1; at <= calls; ++at) {
    const test::TemporaryDirectory dir;
    save_number(dir.path(), 1, 0);
    // keep 1: the old file goes only after the new one is complete.
    const int status = exit_status([&] {
      seam::start(seam::Mode::end_process, at, 0, torn);
      save_number(dir.path(), 2, 1);
    });
    ASSERT_EQ(status, seam::kExit) << "call " << at;
    ASSERT_EQ(check_newest(dir.path(), {1, 2}), "") << "killed at call " << at;
    survived_new += checkpoint::newest_usable(dir.path()).step == 2 ? 1 : 0;
    // What the killed save left behind does not disturb the next one, which removes it.
    save_number(dir.path(), 2, 2);
    ASSERT_EQ(check_newest(dir.path(), {2}), "") << "killed at call " << at;
    for (const std::string& name : test::names_in(checkpoint::directory_of(dir.path()))) {
      EXPECT_EQ(name.substr(name.size() - 3), ".h5");
    }
  }
  EXPECT_GT(survived_new, 0);
  EXPECT_LT(survived_new, calls / 2);
}

TEST(CheckpointCrash, KilledBeforeEveryFileCall) { kill_everywhere(false); }
TEST(CheckpointCrash, KilledInTheMiddleOfEveryWrite) { kill_everywhere(true); }

TEST(CheckpointCrash, KilledWhileShardsAreWritten) {
  const int64_t calls = calls_of_a_save(0);
  for (int64_t at = 1; at <= calls; at += at < calls - 30 ? 9 : 1) {
    const test::TemporaryDirectory dir;
    save_number(dir.path(), 1, 0, 0);
    const int status = exit_status([&] {
      seam::start(seam::Mode::end_process, at, 0, at % 2 == 0);
      save_number(dir.path(), 2, 1, 0);
    });
    ASSERT_EQ(status, seam::kExit) << "call " << at;
    ASSERT_EQ(check_newest(dir.path(), {1, 2}), "") << "killed at call " << at;
    save_number(dir.path(), 2, 1, 0);
    ASSERT_EQ(check_newest(dir.path(), {2}), "") << "killed at call " << at;
    EXPECT_EQ(test::names_in(checkpoint::directory_of(dir.path())).size(), 2U)
        << "killed at call " << at;
  }
}

TEST(CheckpointCrash, AShardThatCannotBeWrittenEndsTheSave) {
  const int64_t calls = calls_of_a_save(0);
  for (int64_t at = 1; at <= calls; at += 13) {
    const test::TemporaryDirectory dir;
    save_number(dir.path(), 1, 0, 0);
    seam::start(seam::Mode::fail_from, at, ENOSPC);
    int code = 0;
    try {
      save_number(dir.path(), 2, 0, 0);
    } catch (const Error& error) {
      code = static_cast<int>(error.code());
    }
    seam::stop();
    ASSERT_TRUE(code == 0 || code == 5) << "call " << at << ": " << code;
    ASSERT_EQ(check_newest(dir.path(), {code == 0 ? 2 : 1, 2}), "") << "call " << at;
    save_number(dir.path(), 3, 1, 0);
    EXPECT_EQ(test::names_in(checkpoint::directory_of(dir.path())).size(), 2U) << "call " << at;
  }
}

// Two ranks save step 2 over step 1, in one file or in shards, and are killed at a file call. The
// next save of one rank removes what they leave.
void kill_two_ranks(int64_t shard_above,
                    const std::function<void(const std::string& run, const State& state,
                                             const std::shared_ptr<Communicator>& world)>& save) {
  const MeshShape shape = MeshShape::data_expert(2, 2);
  for (int64_t at = 3; at < 300; at += 11) {
    const test::TemporaryDirectory dir;
    save_number(dir.path(), 1, 0, shard_above);
    exit_status([&] {
      seam::start(seam::Mode::end_process, at);
      run_ranks(2, [&](int rank, const std::shared_ptr<Communicator>& world) {
        save(dir.path(), make_state(shape, rank, Device::cpu(), 2), world);
      });
    });
    ASSERT_EQ(check_newest(dir.path(), {1, 2}), "") << "killed at call " << at;
    save_number(dir.path(), 2, 1, shard_above);
    ASSERT_EQ(check_newest(dir.path(), {2}), "") << "killed at call " << at;
    EXPECT_EQ(test::names_in(checkpoint::directory_of(dir.path())).size(),
              shard_above == 0 ? 2U : 1U)
        << "killed at call " << at;
  }
}

TEST(CheckpointCrash, KilledWhileThreadRanksSave) {
  for (const int64_t shard_above : {int64_t{1} << 30, int64_t{0}}) {
    kill_two_ranks(shard_above, [&](const std::string& run, const State& state, const auto& world) {
      checkpoint::save_step(run, 2, 1, state, *world, {.shard_above = shard_above});
    });
  }
}

TEST(CheckpointCrash, KilledWhileThreadRanksSaveBesideTraining) {
  for (const int64_t shard_above : {int64_t{1} << 30, int64_t{0}}) {
    kill_two_ranks(shard_above, [&](const std::string& run, const State& state, const auto& world) {
      checkpoint::AsyncSaver saver(world, Device::cpu(1));
      saver.start(run, 2, 1, state, {.shard_above = shard_above});
      saver.finish();
    });
  }
}

// Every call fails once, or from then on, with a full disk or a broken one. The process goes on:
// training may continue and save again later.
TEST(CheckpointCrash, EveryFileCallFails) {
  const int64_t calls = calls_of_a_save();
  const size_t open_before = test::names_in("/proc/self/fd").size();
  log::configure(log::Level::error, 0, true);
  int failed = 0;
  for (const auto& [mode, error] : {std::pair{seam::Mode::fail_once, ENOSPC},
                                    {seam::Mode::fail_once, EIO},
                                    {seam::Mode::fail_from, ENOSPC},
                                    {seam::Mode::fail_from, EROFS}}) {
    for (int64_t at = 1; at <= calls; ++at) {
      const test::TemporaryDirectory dir;
      save_number(dir.path(), 1, 0);
      seam::start(mode, at, error);
      int code = 0;
      std::string message;
      try {
        save_number(dir.path(), 2, 0);
      } catch (const Error& caught) {
        code = static_cast<int>(caught.code());
        message = caught.what();
      }
      seam::stop();
      ASSERT_TRUE(code == 0 || code == 5) << "call " << at << ": " << code << " " << message;
      failed += code == 5 ? 1 : 0;
      ASSERT_EQ(check_newest(dir.path(), {code == 0 ? 2 : 1, 2}), "") << "call " << at;
      if (code == 0) {
        ASSERT_EQ(check_newest(dir.path(), {2}), "") << "call " << at;
      }
      save_number(dir.path(), 3, 0);
      ASSERT_EQ(check_newest(dir.path(), {3}), "") << "after a failure at call " << at;
    }
  }
  log::configure(log::Level::info, 0, true);
  EXPECT_GT(failed, 3 * calls);
  // No file stays open behind a failed save: its blocks would stay taken.
  EXPECT_EQ(test::names_in("/proc/self/fd").size(), open_before);
}

// The data is on the disk before the name is, and the name before the save is reported.
TEST(CheckpointCrash, SyncsBeforeAndAfterTheRename) {
  const test::TemporaryDirectory dir;
  seam::start(seam::Mode::count);
  save_number(dir.path(), 1, 0);
  seam::stop();
  const auto& calls = seam::log();
  // The list of what the run made, then the checkpoint.
  ASSERT_EQ(std::count(calls.begin(), calls.end(), "rename"), 2);
  const auto listed = std::find(calls.begin(), calls.end(), "rename");
  const auto renamed = std::find(listed + 1, calls.end(), "rename");
  const auto write_after = std::find(renamed, calls.end(), "pwrite");
  EXPECT_EQ(write_after, calls.end());
  const std::vector<std::string> before(std::make_reverse_iterator(renamed), calls.rend());
  const auto synced = std::find(before.begin(), before.end(), "fsync");
  ASSERT_NE(synced, before.end());
  EXPECT_LT(synced, std::find(before.begin(), before.end(), "pwrite")) << "a write after the sync";
  EXPECT_NE(std::find(renamed, calls.end(), "fsync"), calls.end());
}

// --- disks that are really full ---

struct Outcome {
  int code = 0;
  std::string message;
};

Outcome try_save(const std::string& run, int64_t step) {
  try {
    save_number(run, step, 0);
  } catch (const Error& error) {
    return {static_cast<int>(error.code()), error.what()};
  }
  return {};
}

// Runs in a child: what EXPECT finds there would be lost, so it exits with a number.
TEST(CheckpointDisk, FileSizeLimit) {
  for (const int64_t kilobytes : {1, 4, 8, 9, 10, 12, 14, 15, 16, 17, 18, 20}) {
    const test::TemporaryDirectory dir;
    save_number(dir.path(), 1, 0);
    const std::string file = checkpoint::list(dir.path())[0].path;
    const auto size = static_cast<int64_t>(test::read_file(file).size());
    const int status = exit_status([&] {
      ::signal(SIGXFSZ, SIG_IGN);
      rlimit limit{static_cast<rlim_t>(kilobytes << 10), static_cast<rlim_t>(kilobytes << 10)};
      ::setrlimit(RLIMIT_FSIZE, &limit);
      const Outcome outcome = try_save(dir.path(), 2);
      ::_exit(outcome.code == 0 ? 20 : outcome.message.empty() ? 21 : outcome.code);
    });
    EXPECT_EQ(status, size <= kilobytes << 10 ? 20 : 5) << kilobytes << " kB";
    EXPECT_EQ(check_newest(dir.path(), {size <= kilobytes << 10 ? 2 : 1}), "") << kilobytes;
    for (const std::string& name : test::names_in(checkpoint::directory_of(dir.path()))) {
      EXPECT_EQ(name.substr(name.size() - 3), ".h5") << "left behind";
    }
  }
}

// A child with a mount namespace of its own and a small tmpfs on `where`. False: not allowed here.
bool mount_small_disk(const std::string& where, int64_t kilobytes) {
  if (::unshare(CLONE_NEWNS) != 0) return false;
  if (::mount("none", "/", nullptr, MS_REC | MS_PRIVATE, nullptr) != 0) return false;
  const std::string options = "size=" + std::to_string(kilobytes) + "k";
  return ::mount("tmpfs", where.c_str(), "tmpfs", 0, options.c_str()) == 0;
}

TEST(CheckpointDisk, FullDisk) {
  bool allowed = true;
  for (int64_t kilobytes = 36; kilobytes <= 180 && allowed; kilobytes += 12) {
    const test::TemporaryDirectory dir;
    const int status = exit_status([&] {
      if (!mount_small_disk(dir.path(), kilobytes)) ::_exit(77);
      Outcome outcome;
      int64_t step = 0;
      while (outcome.code == 0 && step < 20) outcome = try_save(dir.path(), ++step);
      if (outcome.code != 5 || outcome.message.find("space") == std::string::npos) ::_exit(21);
      const auto names = step == 1 ? std::vector<std::string>{}
                                   : test::names_in(checkpoint::directory_of(dir.path()));
      if (static_cast<int64_t>(names.size()) != step - 1) ::_exit(22);
      if (step > 1 && !check_newest(dir.path(), {step - 1}).empty()) ::_exit(23);
    });
    if (status == 77) allowed = false;
    if (allowed) {
      EXPECT_EQ(status, 0) << kilobytes << " kB";
    }
  }
  if (!allowed) GTEST_SKIP() << "no private mount namespace here: the full disk was not tested";
}

TEST(CheckpointDisk, ReadOnlyDisk) {
  const test::TemporaryDirectory dir;
  const int status = exit_status([&] {
    if (!mount_small_disk(dir.path(), 1000)) ::_exit(77);
    save_number(dir.path(), 1, 0);
    if (::mount("none", dir.path().c_str(), nullptr, MS_REMOUNT | MS_RDONLY, nullptr) != 0) {
      ::_exit(77);
    }
    const Outcome outcome = try_save(dir.path(), 2);
    if (outcome.code != 5 || outcome.message.find("Read-only") == std::string::npos) ::_exit(21);
    if (!check_newest(dir.path(), {1}).empty()) ::_exit(22);
  });
  if (status == 77) GTEST_SKIP() << "no private mount namespace here: not tested";
  EXPECT_EQ(status, 0);
}

// As on NFS without its lock daemon: HDF5 is told not to lock, and the lock of the run directory
// goes by the process that it names.
TEST(CheckpointDisk, AFileSystemWithoutLocks) {
  for (const int error : {ENOLCK, ENOSYS, EOPNOTSUPP}) {
    const test::TemporaryDirectory dir;
    seam::fail_locks(error);
    {
      const int64_t before = seam::fail_locks(error);
      const DirectoryLock lock(dir.path());
      const int64_t locked = seam::fail_locks(error);
      EXPECT_GT(locked, before);
      EXPECT_THROW(DirectoryLock(dir.path()), Error);
      const int64_t asked = seam::fail_locks(error);
      save_number(dir.path(), 1, 0);
      save_number(dir.path(), 2, 0, 0);
      EXPECT_EQ(check_newest(dir.path(), {2}), "");
      EXPECT_EQ(checkpoint::check_structure(checkpoint::list(dir.path())[1].path), "");
      EXPECT_EQ(seam::fail_locks(error), asked) << "HDF5 asked for a lock";
    }
    seam::fail_locks(0);
  }
}

TEST(CheckpointDisk, SpaceIsCheckedBeforehand) {
  const test::TemporaryDirectory dir;
  try {
    require_space(dir.path(), int64_t{1} << 60);
    FAIL();
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ExitCode::resource);
    EXPECT_NE(std::string(error.what()).find("not enough space"), std::string::npos);
  }
}

}  // namespace
}  // namespace troupe
