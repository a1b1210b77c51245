#include "core/io/disk_rate.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <vector>

#include "core/base/error.h"
#include "core/io/atomic_file.h"
#include "core/io/posix_file.h"

namespace troupe {
namespace {

constexpr int64_t kPiece = 8 << 20;
using Clock = std::chrono::steady_clock;

double seconds_since(Clock::time_point start) {
  return std::chrono::duration<double>(Clock::now() - start).count();
}

struct RemovedFile {
  std::string path;
  ~RemovedFile() { ::unlink(path.c_str()); }
};

}  // namespace

void forget_cached(const std::string& path) {
  const PosixFile file = PosixFile::open(path, O_RDONLY, "open");
  ::posix_fadvise(file.descriptor(), 0, 0, POSIX_FADV_DONTNEED);
}

DiskRate disk_rate(const std::string& directory, int64_t bytes) {
  require(bytes > 0, "the rate of a file of {} bytes", bytes);
  require_space(directory, bytes);
  const RemovedFile target{directory + "/disk-rate.tmp"};
  // Not zeros: some disks and file systems store those without writing.
  std::vector<uint8_t> piece(static_cast<size_t>(std::min(kPiece, bytes)));
  for (size_t i = 0; i < piece.size(); ++i) piece[i] = static_cast<uint8_t>(i * 2654435761U >> 11);
  DiskRate out;
  const auto begin_write = Clock::now();
  {
    PosixFile file = PosixFile::open(target.path, O_CREAT | O_TRUNC | O_WRONLY, "write");
    for (int64_t at = 0; at < bytes; at += kPiece) {
      file.write_at(at, piece.data(), std::min(kPiece, bytes - at));
    }
    file.sync();
    file.close();
  }
  out.write = static_cast<double>(bytes) / seconds_since(begin_write);
  forget_cached(target.path);
  const auto begin_read = Clock::now();
  const PosixFile file = PosixFile::open(target.path, O_RDONLY, "read");
  int64_t read = 0;
  for (int64_t at = 0; at < bytes; at += kPiece) {
    read += file.read_at(at, piece.data(), std::min(kPiece, bytes - at));
  }
  require(read == bytes, "read {} bytes of a file of {}", read, bytes);
  out.read = static_cast<double>(bytes) / seconds_since(begin_read);
  return out;
}

}  // namespace troupe
