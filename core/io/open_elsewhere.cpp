#include "core/io/open_elsewhere.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

namespace troupe {
namespace {

// HDF5 takes an exclusive lock of flock(2) before it writes.
bool locked(int descriptor) {
  if (::flock(descriptor, LOCK_SH | LOCK_NB) == 0) {
    ::flock(descriptor, LOCK_UN);
    return false;
  }
  return errno == EWOULDBLOCK;
}

// The consistency flags of the superblock, which stands behind a user block of 0, 512, 1024, ...
// bytes (HDF5 file format, "Disk Format: Level 0A").
bool marked(int descriptor) {
  constexpr char kSignature[] = "\x89HDF\r\n\x1a\n";
  constexpr off_t kFarthest = off_t{1} << 30;
  unsigned char head[24] = {};
  for (off_t at = 0; at <= kFarthest; at = at == 0 ? 512 : 2 * at) {
    if (::pread(descriptor, head, sizeof head, at) != static_cast<ssize_t>(sizeof head))
      return false;
    if (std::memcmp(head, kSignature, 8) != 0) continue;
    const int flags = head[8] < 2 ? head[20] : head[11];  // by the version
    constexpr int kWriting = 1, kWritingForReaders = 5;
    return flags == kWriting || flags == kWritingForReaders;
  }
  return false;
}

}  // namespace

void refuse_if_open_elsewhere(const std::string& path) {
  const int descriptor = ::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK);
  if (descriptor < 0) return;
  struct stat status {};
  const bool file = ::fstat(descriptor, &status) == 0 && S_ISREG(status.st_mode);
  const bool held = file && locked(descriptor);
  const bool open = held || (file && marked(descriptor));
  ::close(descriptor);
  if (!open) return;
  throw OpenElsewhere(fmt::format(
      "{} is open in another program for writing{}. Nothing was changed: close it there and try "
      "again{}.",
      path, held ? "" : " (HDF5 has marked it so)",
      held ? ""
           : fmt::format(", or, where that program has ended without closing it, clear the mark: "
                         "h5clear -s {}",
                         path)));
}

}  // namespace troupe
