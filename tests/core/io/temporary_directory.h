#pragma once

#include <stdlib.h>
#include <unistd.h>

#include <filesystem>
#include <stdexcept>
#include <string>

namespace troupe::test {

// A new empty directory, removed at the end: in memory (/dev/shm) where that is possible and TMPDIR
// does not say otherwise, for these tests sync thousands of files.
class TemporaryDirectory {
 public:
  TemporaryDirectory() {
    const bool in_memory = ::getenv("TMPDIR") == nullptr && ::access("/dev/shm", W_OK | X_OK) == 0;
    const std::filesystem::path below =
        in_memory ? std::filesystem::path("/dev/shm") : std::filesystem::temp_directory_path();
    path_ = (below / "troupe_test_XXXXXX").string();
    if (::mkdtemp(path_.data()) == nullptr) throw std::runtime_error("mkdtemp failed");
  }
  ~TemporaryDirectory() {
    std::error_code error;
    std::filesystem::remove_all(path_, error);
  }
  TemporaryDirectory(const TemporaryDirectory&) = delete;
  TemporaryDirectory& operator=(const TemporaryDirectory&) = delete;
  const std::string& path() const { return path_; }
  std::string operator/(const std::string& name) const { return path_ + "/" + name; }

 private:
  std::string path_;
};

}  // namespace troupe::test
