// Directories of one job that do not outlive it, not even when its owner is killed.
#pragma once

#include <string>

namespace troupe {

// A new directory PARENT/troupe-launch-PID-XXXXXX, removed with all it holds by the destructor.
// This process and the programs that it starts hold a lock on it, which the system releases when
// the last of them is gone, however they end. The lock alone says whether the directory is in use:
// process ids are reused, and mean nothing in another container.
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

// Removes the directories of this user below `parent` whose jobs were killed before they could do
// it themselves. Returns how many.
int remove_abandoned_directories(const std::string& parent);

}  // namespace troupe
