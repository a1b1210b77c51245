#include "launch/metrics/log_file.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <fstream>
#include <iterator>
#include <system_error>

#include "core/base/log.h"

namespace troupe {
namespace {

// Writes all bytes unless the system refuses; returns how many it took.
size_t write_all(int descriptor, std::string_view bytes) {
  size_t done = 0;
  while (done < bytes.size()) {
    const ssize_t n = ::write(descriptor, bytes.data() + done, bytes.size() - done);
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0) break;
    done += static_cast<size_t>(n);
  }
  return done;
}

std::string temporary_name(const std::filesystem::path& path) { return path.string() + ".new"; }

void sync_directory(const std::filesystem::path& file) {
  const auto parent = file.has_parent_path() ? file.parent_path() : std::filesystem::path(".");
  const int directory = ::open(parent.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (directory < 0) return;
  ::fsync(directory);
  ::close(directory);
}

}  // namespace

LogFile::LogFile(std::filesystem::path path, std::string what)
    : path_(std::move(path)), what_(std::move(what)) {
  open();
}

LogFile::~LogFile() {
  if (descriptor_ >= 0) ::close(descriptor_);
}

bool LogFile::open() {
  descriptor_ = ::open(path_.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644);
  if (descriptor_ < 0) return false;
  struct stat status {};
  size_ = ::fstat(descriptor_, &status) == 0 ? static_cast<int64_t>(status.st_size) : 0;
  return true;
}

bool LogFile::drop(const char* doing) {
  const int reason = errno;
  if (dropped_++ == 0) {
    log::warning("cannot {} {}: {}; {} are lost until it works again, training goes on", doing,
                 path_.string(), std::strerror(reason), what_);
  }
  return false;
}

bool LogFile::append(std::string_view record) {
  if (descriptor_ < 0 && !open()) return drop("open");
  if (torn_) {
    if (::ftruncate(descriptor_, size_) != 0) return drop("repair");
    torn_ = false;
  }
  const size_t written = write_all(descriptor_, record);
  if (written == record.size()) {
    size_ += static_cast<int64_t>(written);
    return true;
  }
  drop("write");
  torn_ = written > 0 && ::ftruncate(descriptor_, size_) != 0;
  return false;
}

std::string read_bytes(const std::filesystem::path& path) {
  std::ifstream in(path, std::ios::binary);
  if (!in) return {};
  return std::string(std::istreambuf_iterator<char>(in), {});
}

void keep_only(const std::filesystem::path& path, std::string_view content, std::string_view keep) {
  ::unlink(temporary_name(path).c_str());
  if (keep == content) return;
  std::string problem;
  if (content.substr(0, keep.size()) == keep) {
    std::error_code error;
    std::filesystem::resize_file(path, keep.size(), error);
    if (!error) return;
    problem = error.message();
  } else if (replace_file(path, keep, problem)) {
    return;
  }
  log::warning("cannot cut the rows after the checkpoint from {}: {}", path.string(), problem);
}

bool replace_file(const std::filesystem::path& path, std::string_view content,
                  std::string& problem) {
  const std::string temporary = temporary_name(path);
  const int descriptor = ::open(temporary.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
  bool ok = descriptor >= 0;
  if (ok) {
    ok = write_all(descriptor, content) == content.size() && ::fsync(descriptor) == 0;
    if (!ok) problem = std::strerror(errno);
    ok = ::close(descriptor) == 0 && ok;
    ok = ok && ::rename(temporary.c_str(), path.c_str()) == 0;
  }
  if (!ok) {
    if (problem.empty()) problem = std::strerror(errno);
    ::unlink(temporary.c_str());
    return false;
  }
  sync_directory(path);
  return true;
}

}  // namespace troupe
