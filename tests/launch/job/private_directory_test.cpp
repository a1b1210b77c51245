#include "launch/job/private_directory.h"

#include <gtest/gtest.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>

namespace troupe {
namespace {

namespace fs = std::filesystem;

TEST(PrivateDirectory, GoesWithAllItHolds) {
  const PrivateDirectory parent("/tmp");
  std::string path;
  {
    const PrivateDirectory folder(parent.path());
    path = folder.path();
    ASSERT_FALSE(path.empty());
    fs::create_directories(path + "/a/b");
    std::ofstream(path + "/a/b/file") << "x";
  }
  EXPECT_FALSE(fs::exists(path));
  EXPECT_TRUE(PrivateDirectory("/nonexistent").path().empty());
}

// Makes a directory in a process of its own, which starts a child and is then killed.
struct Killed {
  std::string path;
  pid_t child = 0;
};
Killed killed_owner(const std::string& parent) {
  int channel[2];
  if (pipe(channel) != 0) return {};
  const pid_t owner = fork();
  if (owner == 0) {
    const PrivateDirectory folder(parent);
    std::ofstream(folder.path() + "/file") << "x";
    const pid_t child = fork();
    if (child == 0) {
      execlp("sleep", "sleep", "60", nullptr);
      _exit(1);
    }
    const std::string text = folder.path() + "\n" + std::to_string(child) + "\n";
    if (write(channel[1], text.data(), text.size()) < 0) _exit(1);
    pause();
  }
  close(channel[1]);
  char text[512] = {};
  const ssize_t got = read(channel[0], text, sizeof(text) - 1);
  close(channel[0]);
  kill(owner, SIGKILL);
  waitpid(owner, nullptr, 0);
  const std::string said(text, static_cast<size_t>(got > 0 ? got : 0));
  const size_t end = said.find('\n');
  return {said.substr(0, end), std::atoi(said.c_str() + end + 1)};
}

TEST(PrivateDirectory, OfAKilledOwnerIsRemovedWhenItsLastProgramIsGone) {
  const PrivateDirectory parent("/tmp");
  const PrivateDirectory alive(parent.path());
  fs::create_directory(parent.path() + "/another");
  const Killed killed = killed_owner(parent.path());
  ASSERT_TRUE(fs::exists(killed.path + "/file")) << killed.path;
  EXPECT_EQ(remove_abandoned_directories(parent.path()), 0);
  EXPECT_TRUE(fs::exists(killed.path + "/file"));
  ASSERT_GT(killed.child, 0);
  kill(killed.child, SIGKILL);
  // It is a child of nobody here; its lock goes with it a moment later.
  int removed = 0;
  for (int wait = 0; wait < 500 && removed == 0; ++wait) {
    usleep(10000);
    removed = remove_abandoned_directories(parent.path());
  }
  EXPECT_EQ(removed, 1);
  EXPECT_FALSE(fs::exists(killed.path));
  EXPECT_TRUE(fs::exists(alive.path()));
  EXPECT_TRUE(fs::exists(parent.path() + "/another"));
  EXPECT_EQ(remove_abandoned_directories("/nonexistent"), 0);
}

}  // namespace
}  // namespace troupe
