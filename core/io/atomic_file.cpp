#include "core/io/atomic_file.h"

#include <fcntl.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstring>
#include <filesystem>
#include <system_error>

#include "core/base/error.h"
#include "core/io/posix_file.h"

namespace troupe {
namespace {

const char* fix_for(int errno_value) {
  switch (errno_value) {
    case ENOSPC:
      return "Free space on that disk, or choose another directory";
    case EDQUOT:
      return "Your disk quota is used up: free space, or choose another directory";
    case EFBIG:
      return "A file size limit is set (ulimit -f): raise it";
    case EROFS:
      return "That file system is read-only: choose another directory";
    case EACCES:
    case EPERM:
      return "Give this user the right to read and write it, or choose another directory";
    case ENOENT:
    case ENOTDIR:
    case ENAMETOOLONG:
    case ELOOP:
    case EEXIST:
      return "Check the path";
    case ENOLCK:
    case EOPNOTSUPP:
      return "This file system has no locks: unset HDF5_USE_FILE_LOCKING";
    case EMFILE:
    case ENFILE:
      return "Too many open files: raise ulimit -n";
    default:
      return "Check the disk and try again";
  }
}

std::string parent_of(const std::string& path) {
  const std::string parent = std::filesystem::path(path).parent_path().string();
  return parent.empty() ? "." : parent;
}

std::string in_units(int64_t bytes) {
  if (bytes < 10'000'000) return fmt::format("{:.1f} kB", static_cast<double>(bytes) / 1e3);
  if (bytes < 10'000'000'000) return fmt::format("{:.1f} MB", static_cast<double>(bytes) / 1e6);
  return fmt::format("{:.1f} GB", static_cast<double>(bytes) / 1e9);
}

}  // namespace

void fail_io(const std::string& what, const std::string& path, int errno_value) {
  fail(ExitCode::resource, "cannot {} {}: {}. {}.", what, path, std::strerror(errno_value),
       fix_for(errno_value));
}

void make_directories(const std::string& path) {
  std::error_code error;
  std::filesystem::create_directories(path, error);
  if (error) fail_io("make directory", path, error.value());
  // access(2) is answered for the real user and says yes to root on a read-only file system only
  // where it is writable, so it finds read-only mounts too.
  if (::access(path.c_str(), W_OK | X_OK) != 0) fail_io("write to directory", path, errno);
}

void require_space(const std::string& directory, int64_t bytes) {
  struct statvfs status {};
  if (::statvfs(directory.c_str(), &status) != 0) fail_io("look at", directory, errno);
  const double free = static_cast<double>(status.f_bavail) * static_cast<double>(status.f_frsize);
  if (free < static_cast<double>(bytes)) {
    fail(ExitCode::resource,
         "not enough space in {}: {} needed, {} free. Free space on that disk, or choose another "
         "directory.",
         directory, in_units(bytes), in_units(static_cast<int64_t>(free)));
  }
}

void sync_directory(const std::string& directory) {
  PosixFile file = PosixFile::open(directory, O_RDONLY | O_DIRECTORY, "open directory");
  // Some network file systems cannot sync a directory and say EINVAL; their rename is safe.
  if (::fsync(file.descriptor()) != 0 && errno != EINVAL) fail_io("sync", directory, errno);
}

AtomicFile::AtomicFile(std::string path) : path_(std::move(path)), temporary_(path_ + ".tmp") {}

AtomicFile::~AtomicFile() {
  if (!committed_) ::unlink(temporary_.c_str());
}

void AtomicFile::commit() {
  PosixFile file = PosixFile::open(temporary_, O_RDWR, "open");
  file.sync();
  file.close();
  if (std::rename(temporary_.c_str(), path_.c_str()) != 0) fail_io("replace", path_, errno);
  committed_ = true;
  sync_directory(parent_of(path_));
}

void write_file_atomically(const std::string& path, std::string_view contents) {
  AtomicFile target(path);
  PosixFile file = PosixFile::open(target.temporary_path(), O_WRONLY | O_CREAT | O_TRUNC, "create");
  file.write_at(0, contents.data(), static_cast<int64_t>(contents.size()));
  file.close();
  target.commit();
}

}  // namespace troupe
