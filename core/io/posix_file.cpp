#include "core/io/posix_file.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>

#include "core/io/atomic_file.h"

namespace troupe {

PosixFile PosixFile::open(const std::string& path, int flags, const std::string& what) {
  PosixFile file;
  file.path_ = path;
  do {
    file.descriptor_ = ::open(path.c_str(), flags | O_CLOEXEC, 0666);
  } while (file.descriptor_ < 0 && errno == EINTR);
  if (file.descriptor_ < 0) fail_io(what, path, errno);
  return file;
}

PosixFile::~PosixFile() {
  if (descriptor_ >= 0) ::close(descriptor_);
}

int64_t PosixFile::size() const {
  struct stat status {};
  if (::fstat(descriptor_, &status) != 0) fail_io("look at", path_, errno);
  return status.st_size;
}

int64_t PosixFile::read_at(int64_t offset, void* data, int64_t bytes) const {
  int64_t done = 0;
  while (done < bytes) {
    const size_t part = static_cast<size_t>(std::min<int64_t>(bytes - done, 1 << 30));
    const ssize_t got = ::pread(descriptor_, static_cast<char*>(data) + done, part, offset + done);
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) fail_io("read", path_, errno);
    if (got == 0) break;
    done += got;
  }
  return done;
}

void PosixFile::write_at(int64_t offset, const void* data, int64_t bytes) {
  int64_t done = 0;
  while (done < bytes) {
    const size_t part = static_cast<size_t>(std::min<int64_t>(bytes - done, 1 << 30));
    const ssize_t put =
        ::pwrite(descriptor_, static_cast<const char*>(data) + done, part, offset + done);
    if (put < 0 && errno == EINTR) continue;
    if (put < 0) fail_io("write", path_, errno);
    if (put == 0) fail_io("write", path_, ENOSPC);
    done += put;
    not_started_ += put;
  }
}

void PosixFile::sync() {
  if (::fsync(descriptor_) != 0) fail_io("sync", path_, errno);
}

void PosixFile::write_behind() {
  constexpr int64_t kWindow = 16 << 20;
  if (not_started_ < kWindow) return;
  not_started_ = 0;
  constexpr unsigned kPasses = SYNC_FILE_RANGE_WAIT_BEFORE | SYNC_FILE_RANGE_WRITE;
  // An error that is told here is not told by fsync again. Other failures: a system that cannot.
  if (::sync_file_range(descriptor_, 0, 0, kPasses) != 0 &&
      (errno == EIO || errno == ENOSPC || errno == EDQUOT)) {
    fail_io("write", path_, errno);
  }
  ::posix_fadvise(descriptor_, 0, 0, POSIX_FADV_DONTNEED);
}

void PosixFile::close() {
  const int descriptor = std::exchange(descriptor_, -1);
  if (::close(descriptor) != 0 && errno != EINTR) fail_io("close", path_, errno);
}

}  // namespace troupe
