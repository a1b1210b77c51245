#include "core/io/directory_lock.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <fstream>
#include <sstream>
#include <utility>

#include "core/base/error.h"
#include "core/base/log.h"
#include "core/io/atomic_file.h"

namespace troupe {
namespace {

struct Holder {
  int64_t pid = 0;
  std::string host;
  std::string boot;
};

Holder this_process() {
  Holder holder;
  holder.pid = ::getpid();
  std::array<char, 256> host{};
  ::gethostname(host.data(), host.size() - 1);
  holder.host = host.data();
  std::ifstream("/proc/sys/kernel/random/boot_id") >> holder.boot;
  return holder;
}

std::string format(const Holder& holder) {
  return fmt::format("pid {}\nhost {}\nboot {}\n", holder.pid, holder.host, holder.boot);
}

// What the file says; pid 0 when it says nothing.
Holder read_holder(int descriptor) {
  std::string text(1024, 0);
  const ssize_t got = ::pread(descriptor, text.data(), text.size(), 0);
  text.resize(got > 0 ? static_cast<size_t>(got) : 0);
  std::istringstream words(text);
  Holder holder;
  std::string key;
  words >> key >> holder.pid >> key >> holder.host >> key >> holder.boot;
  return holder;
}

bool alive(int64_t pid) {
  return pid > 0 && (::kill(static_cast<pid_t>(pid), 0) == 0 || errno == EPERM);
}

// Without flock: is the writer of the file gone? Another host cannot be asked.
bool stale(const Holder& holder, const Holder& self) {
  if (holder.pid == 0) return true;
  if (holder.host == self.host && holder.boot != self.boot) return true;
  return holder.host == self.host && !alive(holder.pid);
}

[[noreturn]] void refuse(const std::string& path, const Holder& holder) {
  // It may have locked the file a moment ago and not written it yet.
  const std::string by = holder.pid == 0
                             ? "another process"
                             : fmt::format("process {} on host {}", holder.pid, holder.host);
  fail(ExitCode::usage,
       "the run directory is in use: {} is held by {}. Wait until it ends, stop it, or give "
       "another directory; if its host is gone for good, delete {}.",
       path, by, path);
}

// Does the path still name the file that is open? A holder that ends unlinks it.
bool same_file(int descriptor, const std::string& path) {
  struct stat open_file {};
  struct stat named {};
  return ::fstat(descriptor, &open_file) == 0 && ::stat(path.c_str(), &named) == 0 &&
         open_file.st_ino == named.st_ino && open_file.st_dev == named.st_dev;
}

}  // namespace

DirectoryLock::DirectoryLock(const std::string& directory) : path_(directory + "/.lock") {
  const Holder self = this_process();
  while (descriptor_ < 0) {
    const int descriptor = ::open(path_.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0666);
    if (descriptor < 0) fail_io("create", path_, errno);
    const bool locked = ::flock(descriptor, LOCK_EX | LOCK_NB) == 0;
    const int error = locked ? 0 : errno;
    const Holder holder = read_holder(descriptor);
    if (error == EWOULDBLOCK || (!locked && !stale(holder, self))) {
      ::close(descriptor);
      refuse(path_, holder);
    }
    if (!same_file(descriptor, path_)) {
      ::close(descriptor);
      continue;
    }
    if (holder.pid != 0) {
      log::warning("taking over the run directory from process {} on host {}, which is gone",
                   holder.pid, holder.host);
    }
    descriptor_ = descriptor;
  }
  const std::string text = format(self);
  // fsync: on NFS other hosts see nothing before, because the file stays open.
  if (::ftruncate(descriptor_, 0) != 0 ||
      ::pwrite(descriptor_, text.data(), text.size(), 0) != static_cast<ssize_t>(text.size()) ||
      ::fsync(descriptor_) != 0) {
    const int error = errno;
    ::close(std::exchange(descriptor_, -1));
    fail_io("write", path_, error);
  }
}

DirectoryLock::DirectoryLock(DirectoryLock&& other) noexcept
    : path_(std::move(other.path_)), descriptor_(std::exchange(other.descriptor_, -1)) {}

DirectoryLock::~DirectoryLock() {
  if (descriptor_ < 0) return;
  // Unlinked while it is held, so nobody can lock a file that is about to vanish (same_file).
  // A directory that was moved away while the lock was held keeps the file.
  if (same_file(descriptor_, path_)) ::unlink(path_.c_str());
  ::close(descriptor_);
}

}  // namespace troupe
