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

// Opens, writes and closes; a file is on the disk then. Failures name what the user asked for.
void write_all(const OutputFile& target, const std::string& path, int flags,
               std::string_view contents) {
  const int descriptor = ::open(path.c_str(), flags | O_WRONLY | O_CLOEXEC, 0666);
  if (descriptor < 0) fail_output(target, errno);
  int failure = 0;
  while (!contents.empty() && failure == 0) {
    const ssize_t put = ::write(descriptor, contents.data(), contents.size());
    if (put < 0 && errno != EINTR) failure = errno;
    if (put > 0) contents.remove_prefix(static_cast<size_t>(put));
  }
  // Devices and pipes cannot be synced.
  if (failure == 0 && ::fsync(descriptor) != 0 && errno != EINVAL && errno != EROFS)
    failure = errno;
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
    write_all(target, target.path, 0, contents);  // devices and pipes cannot be replaced
    return;
  }
  const fs::path path = followed(target.path);
  const fs::path temporary = path.parent_path() / ("." + path.filename().string() + ".troupe.tmp");
  try {
    ::unlink(temporary.c_str());  // what a killed command left
    write_all(target, temporary, O_CREAT | O_EXCL, contents);
    if (fs::is_regular_file(status)) fs::permissions(temporary, status.permissions(), error);
    if (std::rename(temporary.c_str(), path.c_str()) != 0) fail_output(target, errno);
    sync_directory(path.has_parent_path() ? path.parent_path().string() : ".");
  } catch (const Error&) {
    ::unlink(temporary.c_str());
    throw;
  }
}

}  // namespace troupe
