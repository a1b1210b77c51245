#include "launch/job/private_directory.h"

#include <fcntl.h>
#include <fmt/core.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>

namespace troupe {
namespace {

namespace fs = std::filesystem;
constexpr const char* kPrefix = "troupe-launch-";

// An open, locked descriptor of the directory; -1 when another process holds it or it is gone.
// Programs that are started inherit it.
int lock_directory(const std::string& path) {
  const int descriptor = ::open(path.c_str(), O_RDONLY | O_DIRECTORY | O_NOFOLLOW);
  if (descriptor < 0) return -1;
  struct stat opened {};
  struct stat named {};
  // Between making and locking it, a cleaner may have taken it for an abandoned one.
  if (::flock(descriptor, LOCK_EX | LOCK_NB) == 0 && ::fstat(descriptor, &opened) == 0 &&
      ::stat(path.c_str(), &named) == 0 && opened.st_ino == named.st_ino) {
    return descriptor;
  }
  ::close(descriptor);
  return -1;
}

bool owned_by_this_user(const std::string& path) {
  struct stat status {};
  return ::lstat(path.c_str(), &status) == 0 && status.st_uid == ::geteuid();
}

}  // namespace

PrivateDirectory::PrivateDirectory(const std::string& parent) {
  constexpr int kAttempts = 10;
  for (int attempt = 0; attempt < kAttempts && lock_ < 0; ++attempt) {
    std::string pattern = fmt::format("{}/{}{}-XXXXXX", parent, kPrefix, ::getpid());
    if (::mkdtemp(pattern.data()) == nullptr) return;
    lock_ = lock_directory(pattern);
    if (lock_ >= 0) path_ = pattern;
  }
}

PrivateDirectory::~PrivateDirectory() {
  if (path_.empty()) return;
  std::error_code error;
  fs::remove_all(path_, error);
  ::close(lock_);
}

int remove_abandoned_directories(const std::string& parent) {
  int removed = 0;
  std::error_code error;
  for (fs::directory_iterator entry(parent, error), end; !error && entry != end;
       entry.increment(error)) {
    const std::string path = entry->path().string();
    if (entry->path().filename().string().rfind(kPrefix, 0) != 0 || !owned_by_this_user(path)) {
      continue;
    }
    const int lock = lock_directory(path);
    if (lock < 0) continue;
    std::error_code ignored;
    fs::remove_all(path, ignored);
    ::close(lock);
    ++removed;
  }
  return removed;
}

}  // namespace troupe
