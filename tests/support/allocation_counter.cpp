#include "tests/support/allocation_counter.h"

#include <malloc.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <cstdarg>
#include <cstddef>

// The C library's own functions, under their other names.
extern "C" {
void* __libc_malloc(size_t);
void* __libc_calloc(size_t, size_t);
void* __libc_realloc(void*, size_t);
void* __libc_memalign(size_t, size_t);
}

namespace troupe::testing_support {
namespace {

constexpr int64_t kLarge = 64 << 10;

// The functions below are the process's: their counts are, too.
struct Counters {
  std::atomic<int64_t> calls{0};
  std::atomic<int64_t> large{0};
  std::atomic<int64_t> largest{0};
  std::atomic<int64_t> maps{0};
};
Counters counters;

void count(size_t size) {
  const auto bytes = static_cast<int64_t>(size);
  ++counters.calls;
  if (bytes >= kLarge) ++counters.large;
  int64_t largest = counters.largest.load();
  while (bytes > largest && !counters.largest.compare_exchange_weak(largest, bytes)) {
  }
}

}  // namespace

AllocationCounts allocation_counts() {
  const struct mallinfo2 info = mallinfo2();
  return {counters.calls, counters.large, counters.largest, counters.maps,
          static_cast<int64_t>(info.arena + info.hblkhd)};
}

void reset_allocation_counts() {
  counters.calls = counters.large = counters.largest = counters.maps = 0;
}

}  // namespace troupe::testing_support

using troupe::testing_support::count;
using troupe::testing_support::counters;

extern "C" {

void* malloc(size_t size) {
  count(size);
  return __libc_malloc(size);
}
void* calloc(size_t number, size_t size) {
  count(number * size);
  return __libc_calloc(number, size);
}
void* realloc(void* old, size_t size) {
  count(size);
  return __libc_realloc(old, size);
}
void* memalign(size_t alignment, size_t size) {
  count(size);
  return __libc_memalign(alignment, size);
}
void* aligned_alloc(size_t alignment, size_t size) {
  count(size);
  return __libc_memalign(alignment, size);
}
int posix_memalign(void** out, size_t alignment, size_t size) {
  count(size);
  *out = __libc_memalign(alignment, size);
  return *out != nullptr ? 0 : ENOMEM;
}

void* mmap(void* at, size_t bytes, int protection, int flags, int file, off_t offset) {
  ++counters.maps;
  return reinterpret_cast<void*>(syscall(SYS_mmap, at, bytes, protection, flags, file, offset));
}
void* mmap64(void* at, size_t bytes, int protection, int flags, int file, off_t offset) {
  return mmap(at, bytes, protection, flags, file, offset);
}
void* mremap(void* old, size_t old_bytes, size_t bytes, int flags, ...) {
  ++counters.maps;
  va_list rest;
  va_start(rest, flags);
  void* to = va_arg(rest, void*);
  va_end(rest);
  return reinterpret_cast<void*>(syscall(SYS_mremap, old, old_bytes, bytes, flags, to));
}

}  // extern "C"
