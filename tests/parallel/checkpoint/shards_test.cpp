// A checkpoint in several files is the same checkpoint: same digests, same values on any layout,
// and one file of it is the file that would have been written at once.
#include <gtest/gtest.h>
#include <sched.h>
#include <sys/mount.h>

#include <array>
#include <atomic>
#include <filesystem>
#include <mutex>

#include "core/base/error.h"
#include "core/base/log.h"
#include "parallel/checkpoint/compare.h"
#include "parallel/checkpoint/directory.h"
#include "parallel/checkpoint/file_writer.h"
#include "parallel/checkpoint/manifest.h"
#include "parallel/checkpoint/own_files.h"
#include "parallel/checkpoint/structure_check.h"
#include "parallel/comm/self_communicator.h"
#include "parallel/comm/thread/thread_world.h"
#include "tests/parallel/checkpoint/support/fuzz.h"
#include "tests/parallel/checkpoint/support/state_fixture.h"

namespace troupe {
namespace {

namespace fs = std::filesystem;
using test::difference;
using test::make_blank;
using test::make_state;

checkpoint::SaveOptions options(int64_t shard_above) {
  return {.config = "version: 1\n", .piece_bytes = 100, .shard_above = shard_above};
}

std::string save_step(const std::string& run, std::pair<int, int> layout, int64_t step,
                      int64_t shard_above, int64_t keep = 0) {
  const MeshShape shape = MeshShape::data_expert(layout.first, layout.second);
  run_ranks(layout.first, [&](int rank, const std::shared_ptr<Communicator>& world) {
    checkpoint::save_step(run, step, keep,
                          make_state(shape, rank, Device::cpu(), static_cast<uint64_t>(step)),
                          *world, options(shard_above));
  });
  return checkpoint::directory_of(run) + "/" + checkpoint::file_name(step);
}

std::string load_on(std::pair<int, int> layout, const std::string& path, uint64_t seed) {
  std::string found;
  std::mutex mutex;
  const MeshShape shape = MeshShape::data_expert(layout.first, layout.second);
  run_ranks(layout.first, [&](int rank, const std::shared_ptr<Communicator>& world) {
    State state = make_blank(shape, rank, Device::cpu());
    checkpoint::load(path, state, *world, {.prefixes = {}, .piece_bytes = 64});
    const std::string mine = difference(make_state(shape, rank, Device::cpu(), seed), state);
    const std::lock_guard<std::mutex> lock(mutex);
    if (!mine.empty()) found = "rank " + std::to_string(rank) + ": " + mine;
  });
  return found;
}

class Shards : public testing::Test {
 protected:
  void SetUp() override { log::configure(log::Level::error, 0, true); }
  void TearDown() override { log::configure(log::Level::info, 0, true); }
  std::vector<std::string> names() const {
    return test::names_in(checkpoint::directory_of(dir_.path()));
  }
  // What verify says of the newest; the one before must be taken then.
  std::string problem(const std::string& newest) {
    std::string found;
    try {
      checkpoint::verify(newest);
    } catch (const Error& error) {
      EXPECT_EQ(error.code(), ExitCode::checkpoint) << error.what();
      found = error.what();
    }
    EXPECT_EQ(checkpoint::newest_usable(dir_.path()).step, found.empty() ? 2 : 1) << found;
    return found;
  }
  test::TemporaryDirectory dir_;
};

TEST_F(Shards, AreTheSameCheckpointAndMergeIntoTheSameFile) {
  const std::string plain = save_step(dir_ / "plain", {1, 1}, 3, 1 << 30);
  for (const auto& layout : {std::pair{1, 1}, {2, 2}, {4, 2}}) {
    const std::string run = dir_ / ("run" + std::to_string(layout.first));
    const std::string path = save_step(run, layout, 3, 0);
    EXPECT_EQ(test::names_in(checkpoint::directory_of(run)),
              (std::vector<std::string>{"step-00000003.h5", "step-00000003.shards"}));
    EXPECT_NO_THROW(checkpoint::verify(path));
    EXPECT_EQ(checkpoint::check_structure(path), "");
    for (const auto& to : {std::pair{1, 1}, {2, 1}, {4, 4}}) {
      EXPECT_EQ(load_on(to, path, 3), "") << layout.first << " -> " << to.first;
    }
    const checkpoint::Info info = checkpoint::read_info(path);
    EXPECT_EQ(info.shards, layout.first);
    EXPECT_GT(info.file_bytes, checkpoint::read_info(plain).file_bytes);
    EXPECT_TRUE(checkpoint::compare(plain, path).equal());
    EXPECT_EQ(checkpoint::compare(path, plain).compared, static_cast<int64_t>(info.tensors.size()));
    checkpoint::merge(path, run + "/one.h5");
    EXPECT_TRUE(test::read_file(run + "/one.h5") == test::read_file(plain)) << layout.first;
  }
}

TEST_F(Shards, TheThresholdIsInBytesOfTensors) {
  const checkpoint::Info info = checkpoint::read_info(save_step(dir_.path(), {2, 1}, 1, 0));
  int64_t bytes = 0;
  for (const auto& tensor : info.tensors) bytes += tensor.bytes;
  EXPECT_EQ(checkpoint::read_info(save_step(dir_.path(), {2, 1}, 2, bytes)).shards, 0);
  EXPECT_EQ(checkpoint::read_info(save_step(dir_.path(), {2, 1}, 3, bytes - 1)).shards, 2);
}

TEST_F(Shards, ADamagedShardIsNamedAndTheOneBeforeTaken) {
  save_step(dir_.path(), {2, 2}, 1, 0);
  const std::string newest = save_step(dir_.path(), {2, 2}, 2, 0);
  const std::string shard = newest.substr(0, newest.size() - 3) + ".shards/rank-0001.h5";
  const std::string good = test::read_file(shard);
  EXPECT_EQ(problem(newest), "");
  for (size_t at = 0; at < good.size(); at += 1 + good.size() / 15) {
    std::string bytes = good;
    bytes[at] = static_cast<char>(bytes[at] ^ 4);
    test::write_file(shard, bytes);
    EXPECT_NE(problem(newest).find(shard), std::string::npos) << "byte " << at;
    test::write_file(shard, good.substr(0, at));
    EXPECT_NE(problem(newest).find(shard), std::string::npos) << "cut at " << at;
  }
  // Another rank's, and another step's: sound files both.
  test::write_file(shard, test::read_file(shard.substr(0, shard.size() - 4) + "0.h5"));
  EXPECT_NE(problem(newest), "");
  test::write_file(shard, test::read_file(checkpoint::directory_of(dir_.path()) +
                                          "/step-00000001.shards/rank-0001.h5"));
  EXPECT_NE(problem(newest).find(shard), std::string::npos);
  fs::remove(shard);
  EXPECT_NE(problem(newest).find(shard + " is missing"), std::string::npos);
  test::write_file(shard, good);
  EXPECT_EQ(problem(newest), "");
}

std::string replaced(std::string text, const std::string& from, const std::string& to) {
  const size_t at = text.find(from);
  EXPECT_NE(at, std::string::npos) << from;
  return at == std::string::npos ? text : text.replace(at, from.size(), to);
}

// Lists with digests that are right: what a program with an error, or one who means harm, writes.
TEST_F(Shards, AManifestThatLiesIsNamedAndTheOneBeforeTaken) {
  test::fuzz_shards(dir_.path(), 1);
  const test::ShardedBytes good = test::fuzz_shards(dir_.path(), 2);
  const std::string list = test::list_of(good.manifest);
  const std::string newest = test::manifest_path(dir_.path(), 2);
  const auto problem_of = [&](const std::string& text) {
    test::ShardedBytes bad = good;
    EXPECT_TRUE(test::write_list(bad.manifest, text));
    test::write_sharded(dir_.path(), 2, bad);
    return problem(newest);
  };
  EXPECT_EQ(problem_of(list), "");
  const std::string folder = "step-00000002.shards";
  for (const auto& [from, to, says] : std::vector<std::array<std::string, 3>>{
           {folder, "/tmp", "not the name of a folder"},
           {folder, "../checkpoints", "not the name of a folder"},
           {folder, "..", "not the name of a folder"},
           {folder, "step-00000001.shards", "is not the shard"},
           {folder, "nowhere", "is missing"},
           {"rank-0000.h5", "/etc/passwd", "not the name of a file"},
           {"rank-0000.h5", "../step-00000001.h5", "not the name of a file"},
           {"rank-0000.h5", "rank-0007.h5", "is missing"},
           {"rank-0000.h5", "rank-0001.h5", "is not the shard"},
           {"f32 4x3 ", "f32 4611686018427387904x4611686018427387904 ", "too large"},
           {"f32 4x3 ", "f32 1099511627776x3 ", "elements"},
           {"f32 4x3 ", "f32 4x3x1 ", "outside its tensor"},
           {"f32 4x3 ", "f64 4x3 ", "does not hold"},
           {"part 1 2x0 2x3\n", "", "elements"},
           {"part 1 2x0 2x3\n", "part 1 1x0 2x3\n", "overlap"},
           {"part 1 2x0 2x3\n", "part 1 3x0 2x3\n", "outside its tensor"},
           {"part 1 2x0 2x3\n", "part 0 2x0 2x3\n", "does not hold"},
           {"part 1 2x0 2x3\n", "part 2 2x0 2x3\n", "no such shard"}}) {
    const std::string found = problem_of(replaced(list, from, to));
    EXPECT_NE(found.find(says), std::string::npos) << from << " -> " << to << ": " << found;
    EXPECT_NE(found.find("step-00000002"), std::string::npos) << found;
  }
}

TEST_F(Shards, GoWithTheirManifest) {
  for (int64_t step = 1; step <= 3; ++step) save_step(dir_.path(), {2, 1}, step, 0, 2);
  EXPECT_EQ(names(), (std::vector<std::string>{"step-00000002.h5", "step-00000002.shards",
                                               "step-00000003.h5", "step-00000003.shards"}));
  // What a killed save leaves; a folder of the user's is none of that.
  const std::string folder = checkpoint::directory_of(dir_.path());
  checkpoint::OwnFiles(folder).add_folder("step-00000004.shards");
  fs::create_directory(folder + "/step-00000004.shards");
  fs::create_directory(folder + "/mine");
  checkpoint::set_aside_newer(dir_.path(), 2);
  save_step(dir_.path(), {2, 1}, 3, 0, 3);
  EXPECT_EQ(names(), (std::vector<std::string>{"mine", "step-00000002.h5", "step-00000002.shards",
                                               "step-00000003.h5", "step-00000003.h5.superseded",
                                               "step-00000003.shards", "step-00000003.shards-2"}));
  const std::string saved = checkpoint::directory_of(dir_.path()) + "/step-00000003.h5";
  EXPECT_NO_THROW(checkpoint::verify(saved));
  EXPECT_NO_THROW(checkpoint::verify(saved + ".superseded"));
  // Saved once more: the manifest before was good until this one took its place.
  save_step(dir_.path(), {2, 1}, 3, 0, 3);
  EXPECT_NO_THROW(checkpoint::verify(saved));
  EXPECT_EQ(names().size(), 7U);
  // The superseded one and the older one go, with their shards.
  save_step(dir_.path(), {2, 1}, 4, 0, 1);
  EXPECT_EQ(names(),
            (std::vector<std::string>{"mine", "step-00000004.h5", "step-00000004.shards"}));
}

TEST_F(Shards, RankZeroWritesOneFileForThoseWhoSeeAnotherDisk) {
  const std::string plain = save_step(dir_ / "plain", {1, 1}, 3, 1 << 30);
  const std::string run = dir_ / "run";
  fs::create_directory(run);
  std::atomic<bool> allowed{true};
  const MeshShape shape = MeshShape::data_expert(2, 2);
  run_ranks(2, [&](int rank, const std::shared_ptr<Communicator>& world) {
    if (rank == 1 && (::unshare(CLONE_NEWNS) != 0 ||
                      ::mount("none", "/", nullptr, MS_REC | MS_PRIVATE, nullptr) != 0 ||
                      ::mount("tmpfs", run.c_str(), "tmpfs", 0, "size=100k") != 0)) {
      allowed = false;
    }
    checkpoint::save_step(run, 3, 0, make_state(shape, rank, Device::cpu(), 3), *world, options(0));
  });
  if (!allowed) GTEST_SKIP() << "no private mount namespace here: not tested";
  EXPECT_EQ(test::names_in(checkpoint::directory_of(run)),
            std::vector<std::string>{"step-00000003.h5"});
  EXPECT_TRUE(test::read_file(checkpoint::directory_of(run) + "/step-00000003.h5") ==
              test::read_file(plain));
}

// A list that no reader takes must not pass for a checkpoint: the one before would be removed.
TEST_F(Shards, AListTooLongToReadIsNotWritten) {
  checkpoint::FileContents contents;
  contents.texts = {{checkpoint::kConfigPath, "version: 1\n"},
                    {checkpoint::kShardsPath,
                     std::string(static_cast<size_t>(checkpoint::kLongestText) + 1, 'x')}};
  checkpoint::FileWriter writer(dir_ / "list.h5", std::move(contents));
  try {
    writer.create();
    FAIL();
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ExitCode::resource);
    EXPECT_NE(std::string(error.what()).find("raise shard_above"), std::string::npos);
  }
  EXPECT_TRUE(test::names_in(dir_.path()).empty());
}

TEST(Manifest, WhatIsNotWholeIsRefused) {
  const std::string head =
      "folder f.shards\nshard 0123456789abcdef0123456789abcdef 100 rank-0000.h5\n"
      "tensor 0123456789abcdef0123456789abcdef f32 4x3 parameters/a b\n";
  const auto refusal = [&](const std::string& text) -> std::string {
    try {
      checkpoint::parse_manifest(text, "m.h5");
    } catch (const Error& error) {
      EXPECT_EQ(error.code(), ExitCode::checkpoint);
      return error.what();
    }
    return "";
  };
  const std::string good = head + "part 0 0x0 4x2\npart 0 0x2 4x1\n";
  EXPECT_EQ(refusal(good), "");
  EXPECT_EQ(checkpoint::format_manifest(checkpoint::parse_manifest(good, "m.h5")), good);
  EXPECT_NE(refusal(head + "part 0 0x0 4x2\n").find("8 of 12"), std::string::npos);
  EXPECT_NE(refusal(head + "part 0 0x0 4x2\npart 0 3x0 1x2\npart 0 0x2 2x1\n").find("overlap"),
            std::string::npos);
  EXPECT_NE(refusal(head + "part 1 0x0 4x3\n").find("no such shard"), std::string::npos);
  EXPECT_NE(refusal(head + "part 0 1x0 4x3\n").find("outside"), std::string::npos);
  for (const char* bad : {"", "folder ../x\n", "folder f\nshard 0 1 a\n", "folder f\npart 0 0 1\n",
                          "folder f\nshard 0123456789abcdef0123456789abcdef 1 a/b\n",
                          "folder f\ntensor 0123456789abcdef0123456789abcdef f32 "
                          "9223372036854775807x8 a\n",
                          "folder f"}) {
    EXPECT_NE(refusal(bad), "") << bad;
  }
}

}  // namespace
}  // namespace troupe
