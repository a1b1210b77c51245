#include "launch/bench/guarded_directory.h"

#include <fcntl.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstdlib>
#include <filesystem>

#include "core/io/atomic_file.h"

namespace troupe {
namespace {

// A shell that removes `path` when all ends of `pipe` for writing are closed. It is no member of
// the session, so a Ctrl-C does not reach it. -1: there is none, and a killed process leaves its
// directory.
int start_guard(const std::string& path, int pipe) {
  posix_spawn_file_actions_t files;
  posix_spawnattr_t attributes;
  posix_spawn_file_actions_init(&files);
  posix_spawnattr_init(&attributes);
  posix_spawn_file_actions_adddup2(&files, pipe, 0);
  posix_spawn_file_actions_addopen(&files, 1, "/dev/null", O_WRONLY, 0);
  posix_spawn_file_actions_addopen(&files, 2, "/dev/null", O_WRONLY, 0);
  posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSID);
  std::array<std::string, 4> words = {"sh", "-c", "read -r word; rm -rf -- \"$0\"", path};
  std::array<char*, 5> arguments = {words[0].data(), words[1].data(), words[2].data(),
                                    words[3].data(), nullptr};
  pid_t guard = -1;
  if (::posix_spawn(&guard, "/bin/sh", &files, &attributes, arguments.data(), environ) != 0) {
    guard = -1;
  }
  posix_spawn_file_actions_destroy(&files);
  posix_spawnattr_destroy(&attributes);
  return guard;
}

}  // namespace

GuardedDirectory::GuardedDirectory(const std::string& parent, const std::string& prefix) {
  std::string name = (std::filesystem::path(parent) / (prefix + "-XXXXXX")).string();
  if (::mkdtemp(name.data()) == nullptr) fail_io("make the directory", name, errno);
  path_ = name;
  std::array<int, 2> ends{};
  if (::pipe2(ends.data(), O_CLOEXEC) != 0) return;
  guard_ = start_guard(path_, ends[0]);
  ::close(ends[0]);
  pipe_ = ends[1];
}

GuardedDirectory::~GuardedDirectory() {
  std::error_code ignored;
  std::filesystem::remove_all(path_, ignored);
  if (pipe_ >= 0) ::close(pipe_);
  if (guard_ > 0) {
    while (::waitpid(guard_, nullptr, 0) < 0 && errno == EINTR) continue;
  }
}

}  // namespace troupe
