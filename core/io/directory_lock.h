// One writer per run directory: a lock that a dead process cannot keep.
#pragma once

#include <string>

namespace troupe {

// Holds DIR/.lock (pid, host, boot id) from construction to destruction. The kernel drops the
// underlying flock when the process dies, so a stale lock is taken over, with a warning. Where the
// file system has no flock, pid, host and boot id decide. A live holder: Error(usage) that names
// its pid and host. Take it in one process of a job (rank 0).
class DirectoryLock {
 public:
  explicit DirectoryLock(const std::string& directory);
  ~DirectoryLock();
  DirectoryLock(DirectoryLock&& other) noexcept;
  DirectoryLock& operator=(DirectoryLock&&) = delete;
  DirectoryLock(const DirectoryLock&) = delete;
  const std::string& path() const { return path_; }

 private:
  std::string path_;
  int descriptor_ = -1;
};

}  // namespace troupe
