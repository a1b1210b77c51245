#include "core/io/file_hash.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>
#include <xxhash.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <new>
#include <vector>

#include "core/base/error.h"

namespace troupe {
namespace {

[[noreturn]] void fail_read(const std::string& path) {
  fail(ExitCode::data, "{}: cannot be read: {}", path, std::strerror(errno));
}

int64_t nanoseconds(const timespec& time) { return time.tv_sec * 1'000'000'000 + time.tv_nsec; }

FileStamp stamp_in(const struct stat& status) {
  return {status.st_ino, status.st_size, nanoseconds(status.st_mtim), nanoseconds(status.st_ctim)};
}

}  // namespace

FileStamp stamp_of(const std::string& path) {
  struct stat status {};
  if (::stat(path.c_str(), &status) != 0) fail_read(path);
  return stamp_in(status);
}

struct FileHasher::State {
  int file = -1;
  XXH3_state_t* stream = XXH3_createState();
  std::vector<char> buffer;
  State() {
    if (stream == nullptr) throw std::bad_alloc();
    XXH3_64bits_reset(stream);
  }
  ~State() {
    if (file >= 0) ::close(file);
    XXH3_freeState(stream);
  }
  State(const State&) = delete;
  State& operator=(const State&) = delete;
};

FileHasher::FileHasher(const std::string& path) : path_(path), state_(std::make_unique<State>()) {
  // Opening a pipe would wait for its writer.
  state_->file = ::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK);
  struct stat status {};
  if (state_->file < 0 || ::fstat(state_->file, &status) != 0) fail_read(path);
  if (!S_ISREG(status.st_mode)) fail(ExitCode::data, "{}: is not a regular file", path);
  stamp_ = stamp_in(status);
}

FileHasher::~FileHasher() = default;

bool FileHasher::advance(int64_t bytes) {
  constexpr int64_t kBuffer = 1 << 20;
  state_->buffer.resize(kBuffer);
  while (bytes > 0) {
    const auto wanted = static_cast<size_t>(std::min(bytes, kBuffer));
    const ssize_t got = ::read(state_->file, state_->buffer.data(), wanted);
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) fail_read(path_);
    if (got == 0) break;
    XXH3_64bits_update(state_->stream, state_->buffer.data(), static_cast<size_t>(got));
    done_ += got;
    bytes -= got;
  }
  if (bytes > 0 || done_ >= stamp_.size) {
    struct stat status {};
    if (::fstat(state_->file, &status) != 0) fail_read(path_);
    if (done_ != stamp_.size || stamp_in(status) != stamp_) {
      fail(ExitCode::data,
           "{}: was changed while it was read; start again when no other program writes it", path_);
    }
    return true;
  }
  return false;
}

uint64_t FileHasher::hash() const { return XXH3_64bits_digest(state_->stream); }

}  // namespace troupe
