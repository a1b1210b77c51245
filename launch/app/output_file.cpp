#include "launch/app/output_file.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstring>
#include <filesystem>
#include <fstream>

#include "core/base/error.h"
#include "core/io/atomic_file.h"
#include "core/io/posix_file.h"

namespace troupe {
namespace {

namespace fs = std::filesystem;

// Where a link leads to, also one to a file that does not exist yet.
fs::path followed(const std::string& given) {
  fs::path path = given;
  std::error_code error;
  for (int i = 0; i < 40 && fs::is_symlink(fs::symlink_status(path, error)); ++i) {
    const fs::path target = fs::read_symlink(path, error);
    path = target.is_absolute() ? target : path.parent_path() / target;
  }
  return path;
}

[[noreturn]] void fail_output(const OutputFile& target, int error) {
  fail(ExitCode::resource, "cannot write {}: {}; choose another place with {} FILE", target.path,
       std::strerror(error), target.option);
}

// Devices and pipes cannot be replaced, nor written at a place.
void write_through(const OutputFile& target, std::string_view contents) {
  const int descriptor = ::open(target.path.c_str(), O_WRONLY | O_CLOEXEC);
  if (descriptor < 0) fail_output(target, errno);
  int failure = 0;
  while (!contents.empty() && failure == 0) {
    const ssize_t put = ::write(descriptor, contents.data(), contents.size());
    if (put < 0 && errno != EINTR) failure = errno;
    if (put > 0) contents.remove_prefix(static_cast<size_t>(put));
  }
  if (::close(descriptor) != 0 && failure == 0) failure = errno;
  if (failure != 0) fail_output(target, failure);
}

}  // namespace

void check_output_file(const OutputFile& target) {
  std::error_code error;
  const fs::file_status status = fs::status(target.path, error);
  if (fs::is_directory(status)) {
    fail(ExitCode::usage, "{} {} is a directory; name a file", target.option, target.path);
  }
  if (!fs::is_regular_file(status) || target.force) return;
  std::ifstream file(target.path, std::ios::binary);
  std::string beginning(kMarkedBytes, 0);
  file.read(beginning.data(), static_cast<std::streamsize>(beginning.size()));
  beginning.resize(static_cast<size_t>(file.gcount()));
  const bool empty = file.is_open() && beginning.empty();
  if (empty || target.ours(beginning)) return;
  fail(ExitCode::usage, "{} {} exists and was not made by this command, so it is left alone. {}",
       target.option, target.path, target.advice);
}

void write_output_file(const OutputFile& target, std::string_view contents) {
  check_output_file(target);
  std::error_code error;
  const fs::file_status status = fs::status(target.path, error);
  if (fs::exists(status) && !fs::is_regular_file(status)) {
    write_through(target, contents);
    return;
  }
  const fs::path path = followed(target.path);
  const fs::path temporary = path.parent_path() / ("." + path.filename().string() + ".troupe.tmp");
  try {
    ::unlink(temporary.c_str());  // what a killed command left
    const int made = ::open(temporary.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
    if (made < 0) fail_output(target, errno);
    ::close(made);
    PosixFile file = PosixFile::open(temporary, O_WRONLY, "write");
    file.write_at(0, contents.data(), static_cast<int64_t>(contents.size()));
    file.sync();
    file.close();
    if (fs::is_regular_file(status)) fs::permissions(temporary, status.permissions(), error);
    if (std::rename(temporary.c_str(), path.c_str()) != 0) fail_output(target, errno);
    sync_directory(path.has_parent_path() ? path.parent_path().string() : ".");
  } catch (const Error&) {
    ::unlink(temporary.c_str());
    throw;
  }
}

}  // namespace troupe
