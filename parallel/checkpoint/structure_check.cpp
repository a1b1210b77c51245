#include "parallel/checkpoint/structure_check.h"

#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <exception>

#include "core/base/error.h"
#include "core/io/sealed_file.h"
#include "parallel/checkpoint/file_writer.h"
#include "parallel/checkpoint/stored.h"

namespace troupe::checkpoint {
namespace {

[[maybe_unused]] constexpr rlim_t kMemoryBytes = 1ULL << 30;
constexpr rlim_t kSeconds = 60;

void limit(int resource, rlim_t value) {
  rlimit now{};
  if (::getrlimit(static_cast<__rlimit_resource_t>(resource), &now) != 0) return;
  now.rlim_cur = std::min(value, now.rlim_max);
  ::setrlimit(static_cast<__rlimit_resource_t>(resource), &now);
}

// The child: writes what it found to the pipe and ends.
[[noreturn]] void look(const std::string& path, int pipe) {
  limit(RLIMIT_CORE, 0);
  limit(RLIMIT_CPU, kSeconds);
#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
  // The sanitizers reserve more than this for themselves.
  limit(RLIMIT_DATA, kMemoryBytes);
#endif
  std::string found;
  try {
    for (const std::string& file : Stored(path).paths()) {
      compare_with_hdf5(file, SealedFile(file).seal().entries);
    }
  } catch (const std::exception& error) {
    found = error.what();
  }
  const bool told = ::write(pipe, found.data(), found.size()) == static_cast<ssize_t>(found.size());
  ::_exit(told ? 0 : 1);
}

}  // namespace

std::string check_structure(const std::string& path) {
  std::array<int, 2> ends{};
  if (::pipe(ends.data()) != 0) {
    fail(ExitCode::resource, "cannot make a pipe: {}", std::strerror(errno));
  }
  const pid_t child = ::fork();
  if (child < 0) fail(ExitCode::resource, "cannot start a process: {}", std::strerror(errno));
  if (child == 0) look(path, ends[1]);
  ::close(ends[1]);
  std::string found;
  std::array<char, 512> buffer{};
  while (true) {
    const ssize_t got = ::read(ends[0], buffer.data(), buffer.size());
    if (got < 0 && errno == EINTR) continue;
    if (got <= 0) break;
    found.append(buffer.data(), static_cast<size_t>(got));
  }
  ::close(ends[0]);
  int status = 0;
  while (::waitpid(child, &status, 0) < 0 && errno == EINTR) continue;
  if (WIFSIGNALED(status)) {
    return fmt::format("{}: HDF5 was ended by signal {} while reading it", path, WTERMSIG(status));
  }
  if (WEXITSTATUS(status) != 0) return path + ": HDF5 could not read it";
  return found;
}

}  // namespace troupe::checkpoint
