#include "tests/parallel/checkpoint/crash/io_seam.h"

#include <dlfcn.h>
#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <cstdarg>
#include <cstdio>
#include <mutex>

namespace troupe::test::io_seam {
namespace {

// Ranks and their threads call one after another.
std::mutex& order() {
  static std::mutex mutex;
  return mutex;
}

struct Seam {
  Mode mode = Mode::off;
  int64_t at = 0;
  int error = 0;
  bool torn = false;
  int64_t calls = 0;
  std::vector<std::string> log;
  int lock_error = 0;
  int64_t locks = 0;
};

Seam& seam() {
  static Seam instance;
  return instance;
}

template <typename F>
F next(const char* symbol) {
  return reinterpret_cast<F>(::dlsym(RTLD_NEXT, symbol));
}

// True when this call must fail; errno is set then. `tear` runs before the process ends.
template <typename Tear>
bool trips(const char* call, Tear tear) {
  const std::lock_guard<std::mutex> lock(order());
  Seam& now = seam();
  if (now.mode == Mode::off) return false;
  ++now.calls;
  if (now.mode == Mode::count) now.log.emplace_back(call);
  if (now.mode == Mode::end_process && now.calls == now.at) {
    if (now.torn) tear();
    ::_exit(kExit);
  }
  const bool fails = (now.mode == Mode::fail_once && now.calls == now.at) ||
                     (now.mode == Mode::fail_from && now.calls >= now.at);
  if (fails) errno = now.error;
  return fails;
}

bool trips(const char* call) {
  return trips(call, [] {});
}

}  // namespace

void start(Mode mode, int64_t at, int error, bool torn) {
  Seam& now = seam();
  now = {mode, at, error, torn, 0, {}, now.lock_error, now.locks};
}

int64_t stop() {
  seam().mode = Mode::off;
  return seam().calls;
}

int64_t fail_locks(int error) {
  seam().lock_error = error;
  return seam().locks;
}

const std::vector<std::string>& log() { return seam().log; }

}  // namespace troupe::test::io_seam

namespace seam = troupe::test::io_seam;

extern "C" {

int open(const char* path, int flags, ...) {
  mode_t mode = 0;
  if ((flags & O_CREAT) != 0) {
    va_list list;
    va_start(list, flags);
    mode = va_arg(list, mode_t);
    va_end(list);
  }
  // Reading /proc and the like is no file work of a checkpoint.
  const bool outside = std::string(path).find("troupe_test_") == std::string::npos;
  if (!outside && seam::trips("open")) return -1;
  return seam::next<int (*)(const char*, int, ...)>("open")(path, flags, mode);
}

ssize_t pwrite(int file, const void* data, size_t bytes, off_t offset) {
  const auto real = seam::next<ssize_t (*)(int, const void*, size_t, off_t)>("pwrite");
  if (seam::trips("pwrite", [&] { real(file, data, bytes / 2, offset); })) return -1;
  return real(file, data, bytes, offset);
}

ssize_t pread(int file, void* data, size_t bytes, off_t offset) {
  if (seam::trips("pread")) return -1;
  return seam::next<ssize_t (*)(int, void*, size_t, off_t)>("pread")(file, data, bytes, offset);
}

int ftruncate(int file, off_t bytes) {
  if (seam::trips("ftruncate")) return -1;
  return seam::next<int (*)(int, off_t)>("ftruncate")(file, bytes);
}

int flock(int file, int operation) {
  ++seam::seam().locks;
  if (seam::seam().lock_error != 0) {
    errno = seam::seam().lock_error;
    return -1;
  }
  return seam::next<int (*)(int, int)>("flock")(file, operation);
}

int fsync(int file) {
  if (seam::trips("fsync")) return -1;
  return seam::next<int (*)(int)>("fsync")(file);
}

int rename(const char* from, const char* to) {
  if (seam::trips("rename")) return -1;
  return seam::next<int (*)(const char*, const char*)>("rename")(from, to);
}

int unlink(const char* path) {
  if (seam::trips("unlink")) return -1;
  return seam::next<int (*)(const char*)>("unlink")(path);
}

int remove(const char* path) {
  if (seam::trips("remove")) return -1;
  return seam::next<int (*)(const char*)>("remove")(path);
}

// A failing close still closes the descriptor, as Linux does.
int close(int file) {
  const auto real = seam::next<int (*)(int)>("close");
  if (seam::trips("close")) {
    const int error = errno;
    real(file);
    errno = error;
    return -1;
  }
  return real(file);
}
}
