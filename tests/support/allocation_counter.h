// Counts what the whole process asks for, libraries included: calls of malloc and its kin, and of
// mmap and its kin. Linked into a test executable it takes the place of the C library's functions.
#pragma once

#include <cstdint>

namespace troupe::testing_support {

struct AllocationCounts {
  int64_t calls = 0;           // malloc, calloc, realloc, aligned_alloc, posix_memalign, new
  int64_t large = 0;           // of them at least 64 KiB
  int64_t largest = 0;         // bytes
  int64_t maps = 0;            // mmap, mremap, brk, sbrk called outside of the C library
  int64_t held_by_malloc = 0;  // bytes that malloc itself holds from the system: brk and mmap
};

AllocationCounts allocation_counts();
void reset_allocation_counts();

}  // namespace troupe::testing_support
