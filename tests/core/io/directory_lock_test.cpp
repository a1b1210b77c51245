#include "core/io/directory_lock.h"

#include <gtest/gtest.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <fstream>
#include <memory>
#include <optional>

#include "core/base/error.h"
#include "tests/core/io/temporary_directory.h"

namespace troupe {
namespace {

std::string refusal(const std::string& directory) {
  try {
    const DirectoryLock lock(directory);
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ExitCode::usage) << error.what();
    return error.what();
  }
  return "";
}

TEST(DirectoryLock, OneHolderAtATime) {
  const test::TemporaryDirectory dir;
  {
    const DirectoryLock lock(dir.path());
    const std::string message = refusal(dir.path());
    EXPECT_NE(message.find("process " + std::to_string(::getpid())), std::string::npos) << message;
    std::string host(256, 0);
    ::gethostname(host.data(), host.size());
    EXPECT_NE(message.find(host.c_str()), std::string::npos) << message;
  }
  EXPECT_FALSE(std::filesystem::exists(dir / ".lock"));
  EXPECT_EQ(refusal(dir.path()), "");
}

TEST(DirectoryLock, ADeadHolderIsReplaced) {
  const test::TemporaryDirectory dir;
  const pid_t child = ::fork();
  if (child == 0) {
    const DirectoryLock lock(dir.path());
    ::kill(::getpid(), SIGKILL);
  }
  ::waitpid(child, nullptr, 0);
  ASSERT_TRUE(std::filesystem::exists(dir / ".lock"));
  EXPECT_EQ(refusal(dir.path()), "");
}

TEST(DirectoryLock, ALiveProcessIsNamed) {
  const test::TemporaryDirectory dir;
  int ready[2];
  ASSERT_EQ(::pipe(ready), 0);
  const pid_t child = ::fork();
  if (child == 0) {
    const DirectoryLock lock(dir.path());
    if (::write(ready[1], "x", 1) != 1) ::_exit(1);
    while (true) ::pause();
  }
  char byte = 0;
  ASSERT_EQ(::read(ready[0], &byte, 1), 1);
  EXPECT_NE(refusal(dir.path()).find("process " + std::to_string(child)), std::string::npos);
  ::kill(child, SIGKILL);
  ::waitpid(child, nullptr, 0);
  EXPECT_EQ(refusal(dir.path()), "");
  ::close(ready[0]);
  ::close(ready[1]);
}

TEST(DirectoryLock, GarbageInTheFileIsNoHolder) {
  const test::TemporaryDirectory dir;
  std::ofstream(dir / ".lock") << "pid pid pid";
  EXPECT_EQ(refusal(dir.path()), "");
}

TEST(DirectoryLock, MovesWithItsObject) {
  const test::TemporaryDirectory dir;
  std::optional<DirectoryLock> kept;
  {
    DirectoryLock lock(dir.path());
    kept.emplace(std::move(lock));
  }
  EXPECT_NE(refusal(dir.path()), "");
  kept.reset();
  EXPECT_EQ(refusal(dir.path()), "");
}

TEST(DirectoryLock, ADirectoryThatIsNotThere) {
  const test::TemporaryDirectory dir;
  try {
    const DirectoryLock lock(dir / "none");
    FAIL();
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ExitCode::resource);
  }
}

}  // namespace
}  // namespace troupe
