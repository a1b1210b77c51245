// What a command writes where the user says replaces nothing but what it made itself.
#include "launch/app/output_file.h"

#include <gtest/gtest.h>
#include <sys/resource.h>
#include <sys/stat.h>

#include <csignal>
#include <filesystem>
#include <thread>

#include "core/base/error.h"
#include "launch/app/command_table.h"
#include "tests/launch/report/synthetic_run.h"

namespace troupe {
namespace {

namespace fs = std::filesystem;
using testing::read_text;
using testing::RunDir;
using testing::write_synthetic_run;
using testing::write_text;

class OutputFileTest : public ::testing::Test {
 protected:
  OutputFile target(const std::string& name, bool force = false) const {
    OutputFile file;
    file.path = (dir_ / name).string();
    file.option = "--out";
    file.ours = [](std::string_view beginning) { return beginning.starts_with("ours"); };
    file.force = force;
    return file;
  }
  ExitCode write(const OutputFile& file) const {
    try {
      write_output_file(file, "ours, new");
    } catch (const Error& error) {
      EXPECT_NE(std::string(error.what()).find(file.path), std::string::npos) << error.what();
      return error.code();
    }
    return ExitCode::ok;
  }
  RunDir dir_;
};

TEST_F(OutputFileTest, OnlyItsOwnKindIsReplaced) {
  EXPECT_EQ(write(target("new")), ExitCode::ok);
  for (const auto& [name, content] : std::vector<std::pair<std::string, std::string>>{
           {"mine", "a thesis"}, {"late", std::string(2000, ' ') + "ours"}, {"short", "our"}}) {
    write_text(dir_ / name, content);
    EXPECT_EQ(write(target(name)), ExitCode::usage) << name;
    EXPECT_EQ(read_text(dir_ / name), content);
    EXPECT_EQ(write(target(name, true)), ExitCode::ok);
    EXPECT_EQ(read_text(dir_ / name), "ours, new");
  }
  write_text(dir_ / "old", "ours, old");
  write_text(dir_ / "empty", "");
  for (const char* name : {"old", "empty"}) {
    EXPECT_EQ(write(target(name)), ExitCode::ok) << name;
    EXPECT_EQ(read_text(dir_ / name), "ours, new");
  }
  EXPECT_EQ(write(target("missing/file", true)), ExitCode::resource);
  fs::create_directory(dir_ / "folder");
  EXPECT_EQ(write(target("folder", true)), ExitCode::usage);
}

TEST_F(OutputFileTest, NeighboursStayAndNothingIsLeft) {
  write_text(dir_ / "file.tmp", "mine");
  write_text(dir_ / "file.new", "mine");
  write_text(dir_ / ".file.troupe.tmp", "of a killed command");
  EXPECT_EQ(write(target("file")), ExitCode::ok);
  EXPECT_EQ(read_text(dir_ / "file.tmp"), "mine");
  EXPECT_EQ(read_text(dir_ / "file.new"), "mine");
  EXPECT_FALSE(fs::exists(dir_ / ".file.troupe.tmp"));
}

TEST_F(OutputFileTest, ALinkStaysALink) {
  write_text(dir_ / "real", "ours, old");
  fs::permissions(dir_ / "real", fs::perms::owner_read | fs::perms::owner_write);
  fs::create_symlink("real", dir_ / "link");
  EXPECT_EQ(write(target("link")), ExitCode::ok);
  EXPECT_TRUE(fs::is_symlink(dir_ / "link"));
  EXPECT_EQ(read_text(dir_ / "real"), "ours, new");
  EXPECT_EQ(fs::status(dir_ / "real").permissions(),
            fs::perms::owner_read | fs::perms::owner_write);
  fs::create_symlink("other", dir_ / "dangling");
  EXPECT_EQ(write(target("dangling")), ExitCode::ok);
  EXPECT_EQ(read_text(dir_ / "other"), "ours, new");
}

// A limit of the process stands for a full disk.
TEST_F(OutputFileTest, AFullDiskIsToldOfTheFileThatWasAskedFor) {
  rlimit before{};
  ASSERT_EQ(::getrlimit(RLIMIT_FSIZE, &before), 0);
  const auto handler = std::signal(SIGXFSZ, SIG_IGN);
  const rlimit small{4, before.rlim_max};
  ASSERT_EQ(::setrlimit(RLIMIT_FSIZE, &small), 0);
  std::string message;
  try {
    write_output_file(target("new.html"), "ours, new");
  } catch (const Error& error) {
    message = error.what();
    EXPECT_EQ(error.code(), ExitCode::resource);
  }
  ::setrlimit(RLIMIT_FSIZE, &before);
  std::signal(SIGXFSZ, handler);
  EXPECT_NE(message.find("cannot write " + target("new.html").path), std::string::npos) << message;
  EXPECT_NE(message.find("--out FILE"), std::string::npos) << message;
  EXPECT_TRUE(fs::is_empty(dir_.path()));
}

TEST_F(OutputFileTest, DevicesAndPipesAreWrittenNotReplaced) {
  const std::string pipe = (dir_ / "pipe").string();
  ASSERT_EQ(::mkfifo(pipe.c_str(), 0600), 0);
  std::string read;
  std::thread reader([&] { read = read_text(pipe); });
  EXPECT_EQ(write(target("pipe")), ExitCode::ok);
  reader.join();
  EXPECT_EQ(read, "ours, new");
  EXPECT_TRUE(fs::is_fifo(pipe));
  fs::create_symlink("/dev/full", dir_ / "full");
  EXPECT_EQ(write(target("full", true)), ExitCode::resource);
  EXPECT_TRUE(fs::is_character_file("/dev/full"));
}

struct Result {
  int code = 0;
  std::string err;
};

Result run(const std::vector<std::string>& words) {
  ::testing::internal::CaptureStdout();
  ::testing::internal::CaptureStderr();
  Result result;
  result.code = run_program(words);
  ::testing::internal::GetCapturedStdout();
  result.err = ::testing::internal::GetCapturedStderr();
  return result;
}

// The commands know their own files, and those of earlier versions.
TEST_F(OutputFileTest, CommandsRefuseTheFilesOfOthers) {
  write_synthetic_run(dir_ / "run", {});
  const std::string sample = std::string(TROUPE_SOURCE_DIR) + "/configs/tiny/shakespeare.yaml";
  const std::string path = (dir_ / "file").string();
  const std::vector<std::vector<std::string>> commands{
      {"report", (dir_ / "run").string(), "--out", path},
      {"layout", sample, "--ranks", "2", "--svg", path}};
  for (std::vector<std::string> words : commands) {
    for (const std::string content :
         {"<!DOCTYPE html>\n<title>My page</title>", "<svg></svg>", "Dear diary"}) {
      write_text(path, content);
      const Result refused = run(words);
      EXPECT_EQ(refused.code, 2) << refused.err;
      EXPECT_NE(refused.err.find("--force"), std::string::npos) << refused.err;
      EXPECT_EQ(read_text(path), content);
    }
    words.emplace_back("--force");
    EXPECT_EQ(run(words).code, 0);
    EXPECT_NE(read_text(path), "Dear diary");
    words.pop_back();
    EXPECT_EQ(run(words).code, 0);  // its own by now
  }
  write_text(path,
             "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n"
             "<title>Troupe report: a</title>");
  EXPECT_EQ(run(commands[0]).code, 0);
  EXPECT_EQ(run(commands[1]).code, 2);  // a page is no picture
}

}  // namespace
}  // namespace troupe
