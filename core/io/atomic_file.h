// Crash-safe replacement of files: a reader sees the old file or the whole new one, never a part.
// All functions throw Error(resource) that names the path and the system's reason (disk full,
// read-only, no permission, ...) with the fix.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace troupe {

// Ends a failed file operation: "cannot <what> <path>: <reason of errno_value>. <fix>".
[[noreturn]] void fail_io(const std::string& what, const std::string& path, int errno_value);

// Makes the directory and its parents; fails when it cannot be written to.
void make_directories(const std::string& path);

// Fails unless the file system of `directory` has `bytes` free for this user.
void require_space(const std::string& directory, int64_t bytes);

// Waits until the directory's entries are on the disk.
void sync_directory(const std::string& directory);

// A new version of `path`, written under temporary_path() in the same directory and put in place by
// commit(). Without commit() the temporary file is removed.
class AtomicFile {
 public:
  // The temporary name is path + ".tmp": it cannot match "*.h5", and what a killed writer left
  // behind is overwritten by the next one.
  explicit AtomicFile(std::string path);
  ~AtomicFile();
  AtomicFile(const AtomicFile&) = delete;
  AtomicFile& operator=(const AtomicFile&) = delete;

  const std::string& path() const { return path_; }
  const std::string& temporary_path() const { return temporary_; }
  // fsync of the file, rename, fsync of the directory.
  void commit();

 private:
  std::string path_;
  std::string temporary_;
  bool committed_ = false;
};

// Replaces the file's contents at once.
void write_file_atomically(const std::string& path, std::string_view contents);

}  // namespace troupe
