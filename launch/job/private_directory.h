// Directories of one job that do not outlive it, not even when its owner is killed.
#pragma once

#include <string>

namespace troupe {

// A new directory PARENT/troupe-launch-PID-XXXXXX, removed with all it holds by the destructor. A
// lock on it is held by this process and by the programs that it starts, so it is released when the
// last of them is gone, however they end; no number of a process is trusted, which may be another
// one's by now or mean nothing in another container.
class PrivateDirectory {
 public:
  explicit PrivateDirectory(const std::string& parent);  // path() is empty when it cannot be made
  ~PrivateDirectory();
  PrivateDirectory(const PrivateDirectory&) = delete;
  PrivateDirectory& operator=(const PrivateDirectory&) = delete;
  const std::string& path() const { return path_; }

 private:
  std::string path_;
  int lock_ = -1;
};

// Removes the directories of this user below `parent` that jobs have left which were killed before
// they could do it. Returns how many.
int remove_abandoned_directories(const std::string& parent);

}  // namespace troupe
