// A file descriptor that closes itself, with reads and writes that finish or throw.
#pragma once

#include <cstdint>
#include <string>
#include <utility>

namespace troupe {

class PosixFile {
 public:
  PosixFile() = default;
  // flags and mode as for open(2); O_CLOEXEC is added.
  static PosixFile open(const std::string& path, int flags, const std::string& what);
  PosixFile(PosixFile&& other) noexcept
      : path_(std::move(other.path_)), descriptor_(std::exchange(other.descriptor_, -1)) {}
  PosixFile& operator=(PosixFile&&) = delete;
  ~PosixFile();

  int descriptor() const { return descriptor_; }
  int64_t size() const;
  // How many bytes were read: fewer than asked at the end of the file.
  int64_t read_at(int64_t offset, void* data, int64_t bytes) const;
  void write_at(int64_t offset, const void* data, int64_t bytes);
  void sync();
  // Reports what close(2) reports: some file systems tell of a failed write only here.
  void close();

 private:
  std::string path_;
  int descriptor_ = -1;
};

}  // namespace troupe
