// Stands between the program and the C library's file calls (HDF5's own ones too: a definition in
// the executable goes before the library's). A test can count the calls, end the process at the
// n-th, or let the n-th fail.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace troupe::test::io_seam {

enum class Mode { off, count, end_process, fail_once, fail_from };

// kExit: exit status of a process that was ended.
constexpr int kExit = 99;

// From now on call number `at` (from 1) of this process is the one; in end_process a write puts
// half of its bytes first when `torn`.
void start(Mode mode, int64_t at = 0, int error = 0, bool torn = false);
// Back to normal. Returns the number of calls since start().
int64_t stop();
// From now on flock() fails with `error` (0: it works), as where a file system has no locks.
// Returns how often it was called so far.
int64_t fail_locks(int error);
// What was called since start(): "fsync", "rename", ...
const std::vector<std::string>& log();

}  // namespace troupe::test::io_seam
