// A directory that does not outlive the process that made it, however that ends.
#pragma once

#include <string>

namespace troupe {

// PARENT/PREFIX-XXXXXX, removed with all it holds by the destructor, or, when this process is
// killed, by a small process that waits for its end. Error(resource) when it cannot be made.
class GuardedDirectory {
 public:
  GuardedDirectory(const std::string& parent, const std::string& prefix);
  ~GuardedDirectory();
  GuardedDirectory(const GuardedDirectory&) = delete;
  GuardedDirectory& operator=(const GuardedDirectory&) = delete;
  const std::string& path() const { return path_; }

 private:
  std::string path_;
  int pipe_ = -1;  // the waiting process reads the other end
  int guard_ = -1;
};

}  // namespace troupe
