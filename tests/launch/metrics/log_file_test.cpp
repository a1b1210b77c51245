#include "launch/metrics/log_file.h"

#include <gtest/gtest.h>
#include <sys/resource.h>

#include <csignal>

#include "tests/launch/run_dir.h"

namespace troupe {
namespace {

using testing::read_text;
using testing::RunDir;

// Files of this process cannot grow beyond `bytes` while it lives: a stand-in for a full disk that
// takes part of a record.
class SizeLimit {
 public:
  explicit SizeLimit(rlim_t bytes) : handler_(std::signal(SIGXFSZ, SIG_IGN)) {
    ::getrlimit(RLIMIT_FSIZE, &before_);
    struct rlimit limit = before_;
    limit.rlim_cur = bytes;
    ::setrlimit(RLIMIT_FSIZE, &limit);
  }
  ~SizeLimit() {
    ::setrlimit(RLIMIT_FSIZE, &before_);
    std::signal(SIGXFSZ, handler_);
  }
  SizeLimit(const SizeLimit&) = delete;
  SizeLimit& operator=(const SizeLimit&) = delete;

 private:
  struct rlimit before_ {};
  void (*handler_)(int);
};

TEST(LogFile, AFullDiskIsCountedAndWarnedAboutOnce) {
  LogFile file("/dev/full", "rows");
  ::testing::internal::CaptureStderr();
  for (int i = 0; i < 3; ++i) EXPECT_FALSE(file.append("record\n"));
  const std::string said = ::testing::internal::GetCapturedStderr();
  EXPECT_EQ(file.dropped(), 3);
  EXPECT_NE(said.find("warning: cannot write /dev/full"), std::string::npos) << said;
  EXPECT_NE(said.find("No space left"), std::string::npos) << said;
  EXPECT_EQ(said.find("warning", said.find("warning") + 1), std::string::npos) << said;
}

TEST(LogFile, ATornRecordIsTakenBack) {
  const RunDir dir;
  LogFile file(dir / "log", "rows");
  EXPECT_TRUE(file.append("one\n"));
  {
    const SizeLimit limit(6);
    EXPECT_FALSE(file.append("second\n"));  // two of its bytes fit
  }
  EXPECT_EQ(read_text(dir / "log"), "one\n");
  EXPECT_TRUE(file.append("three\n"));
  EXPECT_EQ(read_text(dir / "log"), "one\nthree\n");
  EXPECT_EQ(file.dropped(), 1);
}

TEST(LogFile, KeepOnlyShortensInPlaceEvenOnAFullDisk) {
  const RunDir dir;
  testing::write_text(dir / "log", "one\ntwo\n");
  const SizeLimit limit(0);
  keep_only(dir / "log", "one\ntwo\n", "one\n");
  EXPECT_EQ(read_text(dir / "log"), "one\n");
}

TEST(LogFile, ReplaceFailsWithTheReasonAndLeavesTheOldFile) {
  const RunDir dir;
  testing::write_text(dir / "log", "old");
  std::string problem;
  {
    const SizeLimit limit(2);
    EXPECT_FALSE(replace_file(dir / "log", "new content", problem));
  }
  EXPECT_FALSE(problem.empty());
  EXPECT_EQ(read_text(dir / "log"), "old");
  EXPECT_FALSE(std::filesystem::exists(dir / "log.new"));
  EXPECT_TRUE(replace_file(dir / "log", "new content", problem));
  EXPECT_EQ(read_text(dir / "log"), "new content");
}

}  // namespace
}  // namespace troupe
