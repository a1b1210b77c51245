#include "core/text/text_folder.h"

#include <gtest/gtest.h>
#include <sys/stat.h>

#include "tests/core/text/fixtures.h"

namespace troupe {
namespace {

namespace fs = std::filesystem;
using test::expect_error;
using test::TemporaryDirectory;
using test::write_text;

class TextFolderTest : public testing::Test {
 protected:
  TextFolderTest() { fs::create_directories(folder_ / "t"); }
  void write(const std::string& name) { write_text(folder_ / name, "text of " + name); }
  void link(const std::string& target, const std::string& name) {
    fs::create_symlink(target, folder_ / name);
  }
  // Relative paths, each with a space behind it.
  std::string files() {
    const std::string root = folder_ / "t";
    found_ = list_text_folder(root, options_);
    std::string all;
    for (const std::string& file : found_.files) all += file.substr(root.size() + 1) + " ";
    return all;
  }
  const TemporaryDirectory folder_;
  TextOptions options_;
  TextFolder found_;
};

TEST_F(TextFolderTest, FollowsLinksInTheOrderOfTheirNames) {
  write("t/b.txt");
  write("outside/z.txt");
  write("outside/deep/y.txt");
  write("one.txt");
  link("../outside", "t/a");
  link("../one.txt", "t/c.txt");
  link("../one.txt", "t/a.txt");  // the same file as c.txt, and before it
  EXPECT_EQ(files(), "a.txt a/deep/y.txt a/z.txt b.txt ");
  EXPECT_EQ(found_.left_out, "1 met again through links (c.txt)");
}

// As a cache of downloads lays them out: links into a folder of the same tree.
TEST_F(TextFolderTest, ReadsEachFileOnce) {
  write("t/store/1");
  write("t/store/2");
  fs::create_directories(folder_ / "t/latest");
  link("../store/1", "t/latest/a.txt");
  link("../store/2", "t/latest/b.txt");
  link("store", "t/zz");
  EXPECT_EQ(files(), "latest/a.txt latest/b.txt ");
  EXPECT_EQ(found_.left_out, "3 met again through links (store/1, store/2, zz)");
}

TEST_F(TextFolderTest, NamesALoop) {
  write("t/a/x.txt");
  link("..", "t/a/back");
  expect_error(ExitCode::data, "t/a/back: is a link that leads back to", [&] { files(); });
  fs::remove(folder_ / "t/a/back");
  link(".", "t/a/self");
  expect_error(ExitCode::data, "t/a/self: is a link that leads back to", [&] { files(); });
  fs::remove(folder_ / "t/a/self");
  link(folder_ / "other", "t/a/away");
  write("other/y.txt");
  link(folder_ / "t", "other/home");
  expect_error(ExitCode::data, "t/a/away/home: is a link that leads back to", [&] { files(); });
}

TEST_F(TextFolderTest, ALinkToNothingIsAnError) {
  write("t/a.txt");
  link("nowhere", "t/b.txt");
  expect_error(ExitCode::data, "t/b.txt: is a link to nowhere: there is nothing", [&] { files(); });
  fs::remove(folder_ / "t/b.txt");
  link("c2", "t/c1");
  link("c1", "t/c2");
  expect_error(ExitCode::data, "t/c1: is a link to c2: it leads in a circle", [&] { files(); });
}

TEST_F(TextFolderTest, SaysWhatIsLeftOut) {
  write("t/a.txt");
  write("t/.hidden");
  write("t/.git/x");
  write_text(folder_ / "t/none.txt", "");
  for (const char* name : {"t/d.bin", "t/d.idx", "t/d.meta.json", "t/alone.bin", "t/x.meta.json"})
    write(name);
  ASSERT_EQ(::mkfifo((folder_ / "t/pipe").c_str(), 0600), 0);
  EXPECT_EQ(files(), "a.txt alone.bin x.meta.json ");
  EXPECT_EQ(found_.left_out,
            "1 empty (none.txt), 3 files of .bin/.idx pairs (d.bin, d.idx, d.meta.json), 2 hidden "
            "(.git, .hidden), 1 no regular files (pipe)");
  for (int i = 0; i < 5; ++i) write("t/." + std::to_string(i));
  files();
  EXPECT_NE(found_.left_out.find("7 hidden (.0, .1, .2, ...)"), std::string::npos)
      << found_.left_out;
}

TEST_F(TextFolderTest, ByNameIsAsBefore) {
  options_.format = TextFormat::by_name;
  write("t/a.txt");
  write("outside/z.txt");
  link("../outside", "t/b");
  link("nowhere", "t/c");
  link("a.txt", "t/d.txt");
  EXPECT_EQ(files(), "a.txt d.txt ");
  write("t/d.bin");
  expect_error(ExitCode::data, "must not hold token files", [&] { files(); });
}

}  // namespace
}  // namespace troupe
