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
      : path_(std::move(other.path_)),
        descriptor_(std::exchange(other.descriptor_, -1)),
        not_started_(other.not_started_) {}
  PosixFile& operator=(PosixFile&&) = delete;
  ~PosixFile();

  int descriptor() const { return descriptor_; }
  int64_t size() const;
  // How many bytes were read: fewer than asked at the end of the file.
  int64_t read_at(int64_t offset, void* data, int64_t bytes) const;
  void write_at(int64_t offset, const void* data, int64_t bytes);
  void sync();
  // To be called after writes of a large file. Once 16 MiB were written: starts the disk on them,
  // waits for those before and lets them leave the page cache. Then sync() has little left to do,
  // and the file pushes nothing else out of memory. Throws like sync().
  void write_behind();
  // Reports what close(2) reports: some file systems tell of a failed write only here.
  void close();

 private:
  std::string path_;
  int descriptor_ = -1;
  int64_t not_started_ = 0;  // bytes written since the disk was started last
};

}  // namespace troupe
