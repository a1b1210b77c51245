// A run that is moved finds its data: the copy beside it first, else the original.
#include "launch/config/recorded_folder.h"

#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>

#include "launch/config/load.h"
#include "launch/config/resolved.h"

namespace troupe {
namespace {

namespace fs = std::filesystem;

class RecordedFolder : public ::testing::Test {
 protected:
  void SetUp() override {
    std::string pattern = "/tmp/troupe-moved-XXXXXX";
    ASSERT_NE(mkdtemp(pattern.data()), nullptr);
    root_ = pattern;
    fs::create_directories(root_ / "a/runs/r");
    std::ofstream(root_ / "a/text.txt") << "text";
    write("a/runs/r/config.resolved.yaml");
  }
  void TearDown() override { fs::remove_all(root_); }

  // The configuration as a run in that place would leave it.
  void write(const std::string& place) const {
    const std::string given =
        "version: 1\nrun: {dir: " + (root_ / place).parent_path().string() +
        "}\nmodel: {layers: 1, dim: 16, heads: 2, seq_len: 8}\n"
        "data: {tokenizer: byte, train: text.txt}\ntrain: {steps: 3, global_batch: 2}\n";
    const RunConfig config =
        load_config_text(given, (root_ / "a/config.yaml").string(), {}, 1).config;
    std::ofstream(root_ / place) << resolved_yaml(config);
  }
  RunConfig read(const std::string& place) const {
    return load_config((root_ / place).string(), {}, 1).config;
  }

  fs::path root_;
};

TEST_F(RecordedFolder, TheRecordSurvivesOtherComments) {
  EXPECT_EQ(recorded_folder("# first\n" + folder_record("/x/y/") + "version: 1\n"), "/x/y");
  EXPECT_EQ(recorded_folder("version: 1\n" + folder_record("/x/y")), "");
  EXPECT_EQ(recorded_folder(""), "");
}

TEST_F(RecordedFolder, WhereItStoodNothingChanges) {
  const RunConfig config = read("a/runs/r/config.resolved.yaml");
  EXPECT_EQ(config.data.train[0].path, (root_ / "a/text.txt").string());
  EXPECT_TRUE(config.data.missing.empty());
}

TEST_F(RecordedFolder, MovedTogetherWithTheDataTheCopyIsTaken) {
  fs::create_directories(root_ / "b/c");
  fs::copy(root_ / "a", root_ / "b/c/a", fs::copy_options::recursive);
  EXPECT_EQ(read("b/c/a/runs/r/config.resolved.yaml").data.train[0].path,
            (root_ / "b/c/a/text.txt").string());
}

TEST_F(RecordedFolder, MovedAloneTheOriginalIsTaken) {
  for (const std::string place : {"r", "b/c/d/e/f/r"}) {
    fs::create_directories((root_ / place).parent_path());
    fs::copy(root_ / "a/runs/r", root_ / place, fs::copy_options::recursive);
    const RunConfig config = read(place + "/config.resolved.yaml");
    EXPECT_EQ(config.data.train[0].path, (root_ / "a/text.txt").string()) << place;
    EXPECT_TRUE(config.data.missing.empty());
  }
}

TEST_F(RecordedFolder, BothPlacesAreNamedWhenNeitherHasIt) {
  fs::create_directories(root_ / "b/c");
  fs::rename(root_ / "a/runs/r", root_ / "b/c/r");
  fs::remove(root_ / "a/text.txt");
  const RunConfig config = read("b/c/r/config.resolved.yaml");
  ASSERT_EQ(config.data.missing.size(), 1U);
  EXPECT_NE(config.data.missing[0].find((root_ / "b/text.txt").string()), std::string::npos)
      << config.data.missing[0];
  EXPECT_NE(config.data.missing[0].find((root_ / "a/text.txt").string()), std::string::npos);
}

}  // namespace
}  // namespace troupe
