// What a run removes when it keeps the newest: only what it made, and nothing that is referred to.
#include "parallel/checkpoint/retention.h"

#include <gtest/gtest.h>

#include <filesystem>

#include "core/base/error.h"
#include "core/base/log.h"
#include "parallel/checkpoint/directory.h"
#include "parallel/checkpoint/own_files.h"
#include "parallel/comm/self_communicator.h"
#include "tests/parallel/checkpoint/support/state_fixture.h"

namespace troupe {
namespace {

namespace fs = std::filesystem;
using Names = std::vector<std::string>;

class Retention : public testing::Test {
 protected:
  void SetUp() override { log::configure(log::Level::error, 0, true); }
  void TearDown() override { log::configure(log::Level::info, 0, true); }

  // In shards unless `above` is large.
  std::string save(int64_t step, int64_t keep, int64_t above = 0,
                   std::shared_ptr<checkpoint::SaveWarnings> warnings =
                       std::make_shared<checkpoint::SaveWarnings>()) {
    const auto world = self_communicator();
    const State state = test::make_state(MeshShape::data_expert(1, 1), 0, Device::cpu(),
                                         static_cast<uint64_t>(step));
    checkpoint::SaveOptions options;
    options.shard_above = above;
    options.warnings = std::move(warnings);
    return checkpoint::save_step(dir_.path(), step, keep, state, *world, options);
  }
  std::string at(const std::string& name) const {
    return checkpoint::directory_of(dir_.path()) + "/" + name;
  }
  Names names() const { return test::names_in(checkpoint::directory_of(dir_.path())); }

  test::TemporaryDirectory dir_;
};

TEST_F(Retention, ShardsOfAManifestThatWasRenamedStay) {
  save(5, 0);
  fs::rename(at("step-00000005.h5"), at("best.h5"));
  fs::create_directories(at("sub"));
  for (const int64_t keep : {0, 1}) {
    save(10 + keep, keep);
    EXPECT_NO_THROW(checkpoint::verify(at("best.h5"))) << keep;
  }
  EXPECT_EQ(names(), (Names{"best.h5", "step-00000005.shards", "step-00000011.h5",
                            "step-00000011.shards", "sub"}));
}

TEST_F(Retention, ShardsOfACopiedOrLinkedManifestStay) {
  save(1, 0);
  save(2, 0);
  fs::copy_file(at("step-00000001.h5"), at("copy.of.the.first"));
  fs::create_hard_link(at("step-00000002.h5"), at("second"));
  save(3, 1);
  EXPECT_FALSE(fs::exists(at("step-00000001.h5")));
  EXPECT_FALSE(fs::exists(at("step-00000002.h5")));
  EXPECT_NO_THROW(checkpoint::verify(at("copy.of.the.first")));
  EXPECT_NO_THROW(checkpoint::verify(at("second")));
}

TEST_F(Retention, WhatALinkLeadsToStays) {
  for (const int64_t above : {int64_t{0}, int64_t{1} << 30}) {
    const int64_t first = above == 0 ? 1 : 11;
    save(first, 0, above);
    fs::remove(at("best.h5"));
    fs::create_symlink(checkpoint::file_name(first), at("best.h5"));
    for (int64_t step = first + 1; step < first + 4; ++step) save(step, 1, above);
    EXPECT_NO_THROW(checkpoint::verify(at("best.h5")));
    EXPECT_FALSE(fs::exists(at(checkpoint::file_name(first + 1))));
  }
  EXPECT_EQ(names(), (Names{"best.h5", "step-00000011.h5", "step-00000014.h5"}));
}

// They count, and go before any other, with their shards.
TEST_F(Retention, SupersededOnesGoFirst) {
  for (const int64_t above : {int64_t{0}, int64_t{1} << 30}) {
    const int64_t first = above == 0 ? 1 : 11;
    const int64_t before = above == 0 ? 0 : 1;  // that the first pass left
    for (int64_t step = first; step < first + 4; ++step) save(step, 0, above);
    EXPECT_EQ(checkpoint::set_aside_newer(dir_.path(), first).size(), 3U);
    const std::string end = checkpoint::kSupersededEnd;
    save(first + 1, before + 4, above);  // the fifth
    EXPECT_FALSE(fs::exists(at(checkpoint::file_name(first + 1) + end)));
    EXPECT_TRUE(fs::exists(at(checkpoint::file_name(first + 2) + end)));
    EXPECT_TRUE(fs::exists(at(checkpoint::file_name(first))));
    save(first + 2, before + 3, above);
    EXPECT_FALSE(fs::exists(at(checkpoint::file_name(first + 3) + end)));
    EXPECT_TRUE(fs::exists(at(checkpoint::file_name(first))));
    save(first + 3, 1, above);
  }
  EXPECT_EQ(names(), Names{"step-00000014.h5"});
}

TEST_F(Retention, AManifestThatCannotBeReadKeepsAllShards) {
  for (const int64_t step : {1, 2}) save(step, 0);
  const std::string good = test::read_file(at("step-00000001.h5"));
  fs::rename(at("step-00000001.h5"), at("best.h5"));
  std::string bad = good;
  bad[600] = static_cast<char>(bad[600] ^ 1);
  for (const std::string& bytes : {bad, good.substr(0, good.size() / 2), std::string()}) {
    test::write_file(at("best.h5"), bytes);
    save(3, 1);
    EXPECT_TRUE(fs::exists(at("step-00000001.shards/rank-0000.h5")));
    EXPECT_TRUE(fs::exists(at("step-00000002.shards/rank-0000.h5")));
  }
  test::write_file(at("best.h5"), good);
  save(4, 1);
  EXPECT_NO_THROW(checkpoint::verify(at("best.h5")));
  EXPECT_FALSE(fs::exists(at("step-00000002.shards")));
}

// Every save finds it again.
TEST_F(Retention, AWarningIsGivenOnceWhileItsCauseLasts) {
  const auto warnings = std::make_shared<checkpoint::SaveWarnings>();
  log::configure(log::Level::warning, 0, true);
  const auto said = [&](int64_t step) {
    testing::internal::CaptureStderr();
    save(step, 0, 0, warnings);
    const std::string text = testing::internal::GetCapturedStderr();
    return std::count(text.begin(), text.end(), '\n');
  };
  EXPECT_EQ(said(1), 0);
  const std::string good = test::read_file(at("step-00000001.h5"));
  fs::rename(at("step-00000001.h5"), at("best.h5"));
  test::write_file(at("best.h5"), good.substr(0, good.size() / 2));
  EXPECT_EQ(said(2), 1);  // its shards stay
  EXPECT_EQ(said(3), 0);
  EXPECT_EQ(said(4), 0);
  test::write_file(at("best.h5"), good);
  EXPECT_EQ(said(5), 0);
  test::write_file(at("best.h5"), good.substr(0, good.size() / 2));
  EXPECT_EQ(said(6), 1);  // it had been mended
}

TEST_F(Retention, FilesOfOthersAreNoReasonToKeepShards) {
  for (const int64_t step : {1, 2}) save(step, 0);
  test::write_file(at("notes.txt"), "step-00000001.h5 was good");
  test::write_file(at("analysis.h5"), "\x89HDF\r\n\x1a\n of another program");
  save(3, 1);
  EXPECT_EQ(names(),
            (Names{"analysis.h5", "notes.txt", "step-00000003.h5", "step-00000003.shards"}));
}

TEST_F(Retention, FilesThatTheRunDidNotMakeStay) {
  const int64_t plain = int64_t{1} << 30;
  save(7, 0, plain);
  const std::string other = test::read_file(at("step-00000007.h5"));
  fs::remove(at("step-00000007.h5"));
  save(1, 1, plain);
  // Called like a checkpoint of the run, put there by a user: new, in place of one, and back again.
  test::write_file(at("step-00000000.h5"), other);
  test::write_file(at("step-00000001.h5"), other);
  test::write_file(at("step-00000007.h5"), other);
  fs::create_directories(at("step-00000001.shards"));
  fs::create_directories(at("mine.shards"));
  for (const int64_t step : {20, 21}) save(step, 1, plain);
  EXPECT_EQ(names(), (Names{"mine.shards", "step-00000000.h5", "step-00000001.h5",
                            "step-00000001.shards", "step-00000007.h5", "step-00000021.h5"}));
}

TEST_F(Retention, AUsersFileInAFolderOfShardsStays) {
  save(1, 0);
  test::write_file(at("step-00000001.shards/notes.txt"), "mine");
  save(2, 1);
  EXPECT_EQ(test::names_in(at("step-00000001.shards")), Names{"notes.txt"});
}

TEST_F(Retention, ShardsOfAManifestThatIsGoneGo) {
  save(1, 0);
  fs::remove(at("step-00000001.h5"));
  save(2, 0);
  EXPECT_EQ(names(), (Names{"step-00000002.h5", "step-00000002.shards"}));
}

TEST_F(Retention, ARunFromBeforeTheListKeepsItsRule) {
  for (const bool trained : {true, false}) {
    for (const int64_t step : {1, 2}) save(step, 0);
    fs::remove(at(".made"));
    checkpoint::begin_run(dir_.path(), trained);
    save(3, 1);
    EXPECT_EQ(names().size(), trained ? 2U : 6U);
    checkpoint::begin_run(dir_.path(), true);  // has a list by now
    save(4, 1);
    EXPECT_EQ(names().size(), trained ? 2U : 6U);
    fs::remove_all(checkpoint::directory_of(dir_.path()));
  }
}

}  // namespace
}  // namespace troupe
