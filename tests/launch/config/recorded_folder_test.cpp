// A run that is moved finds its data: the copy beside it first, else the original.
#include "launch/config/recorded_folder.h"

#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>

#include "core/base/error.h"
#include "core/text/utf8.h"
#include "launch/config/load.h"
#include "launch/config/resolved.h"
#include "launch/config/scalar.h"

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
  // Saved by an editor on Windows.
  EXPECT_EQ(
      recorded_folder("\xef\xbb\xbf# first\r\n# Paths of files are relative to this place, or "
                      "were so in /x/y\r\nversion: 1\r\n"),
      "/x/y");
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

// Paths are bytes: a folder may be called anything but "/" and zero.
TEST_F(RecordedFolder, AnyBytesOfAPathCanBeReadAgain) {
  for (const std::string name : {"caf\xe9", "a\nb", "tab\t", "\x1b[1m", "bytes:x", "100%41",
                                 "a: #b", "'\"\\", "\u2028", " "}) {
    const fs::path folder = root_ / name;
    fs::create_directories(folder / "run");
    std::ofstream(folder / "text.txt") << "text";
    const std::string given = "version: 1\nrun: {name: " + format_text(name) +
                              ", dir: " + format_text((folder / "run").string()) +
                              "}\nmodel: {layers: 1, dim: 16, heads: 2, seq_len: 8}\n"
                              "data: {tokenizer: byte, train: " +
                              format_text((folder / "text.txt").string()) +
                              "}\ntrain: {steps: 3, global_batch: 2}\n";
    const RunConfig config = load_config_text(given, (folder / "c.yaml").string(), {}, 1).config;
    EXPECT_EQ(config.run.name, name);
    const std::string text = resolved_yaml(config);
    EXPECT_EQ(utf8_valid_prefix(text), text.size());
    EXPECT_EQ(recorded_folder(text), (folder / "run").string());
    const auto read = [&](const fs::path& place) {
      return load_config_text(text, (place / "config.resolved.yaml").string(), {}, 1).config;
    };
    for (const fs::path& place : {folder / "run", root_ / "elsewhere"}) {
      const RunConfig again = read(place);
      EXPECT_EQ(again.data.train[0].path, (folder / "text.txt").string());
      EXPECT_EQ(again.run.name, name);
      EXPECT_EQ(config_hash(again), config_hash(config));
    }
    EXPECT_NO_THROW(check_stored_form(config));
  }
}

// As it was written before, in the folder's own bytes.
TEST_F(RecordedFolder, ARecordThatIsNoTextDoesNotHideTheConfiguration) {
  fs::create_directories(root_ / "caf\xe9");
  fs::rename(root_ / "a/text.txt", root_ / "caf\xe9/text.txt");
  const std::string text =
      "# Paths of files are relative to this place, or were so in " + root_.string() +
      "/caf\xe9/run\nversion: 1\nmodel: {layers: 1, dim: 16, heads: 2, seq_len: 8}\n"
      "data: {tokenizer: byte, train: ../text.txt}\ntrain: {steps: 3, global_batch: 2}\n";
  const std::string place = (root_ / "b/c/config.resolved.yaml").string();
  EXPECT_EQ(load_config_text(text, place, {}, 1).config.data.train[0].path,
            (root_ / "caf\xe9/text.txt").string());
  // Lines keep their numbers.
  try {
    load_config_text(text + "wrong: 1\n", place, {}, 1);
    FAIL();
  } catch (const Error& error) {
    EXPECT_NE(std::string(error.what()).find("6:1"), std::string::npos) << error.what();
  }
}

// From a deep folder the relative path may be longer than any that can be read.
TEST_F(RecordedFolder, ALongPathIsStoredAsTheShorterOne) {
  std::string deep = root_.string();
  for (int i = 0; i < 1500; ++i) deep += "/d";
  const std::string file = root_.string() + "/" + std::string(200, 'f') + "/text.txt";
  const RunConfig config =
      load_config_text(
          "version: 1\nmodel: {layers: 1, dim: 16, heads: 2, seq_len: 8}\n"
          "data: {tokenizer: byte, train: " +
              file + "}\ntrain: {steps: 3, global_batch: 2}\nrun: {dir: " + deep + "}\n",
          "c.yaml", {}, 1)
          .config;
  EXPECT_NO_THROW(check_stored_form(config));
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
