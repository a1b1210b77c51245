// The hash of a file's bytes, taken piece by piece, and what tells without reading it that a file
// is still the same.
#pragma once

#include <cstdint>
#include <memory>
#include <string>

namespace troupe {

// Equal stamps of a path mean equal bytes, unless it was written twice within the resolution of the
// file system's clock. Times in ns since 1970.
struct FileStamp {
  uint64_t inode = 0;
  int64_t size = 0;      // bytes
  int64_t modified = 0;  // the bytes
  int64_t changed = 0;   // the bytes, the name, the rights
  bool operator==(const FileStamp& other) const = default;
};
// Missing or unreadable: Error(data).
FileStamp stamp_of(const std::string& path);

// XXH3-64 of a file.
class FileHasher {
 public:
  // Missing, unreadable, no regular file: Error(data).
  explicit FileHasher(const std::string& path);
  ~FileHasher();
  FileHasher(const FileHasher&) = delete;
  FileHasher& operator=(const FileHasher&) = delete;

  // Reads up to so many bytes more; true at the end. A file that another program changed since the
  // beginning: Error(data).
  bool advance(int64_t bytes);
  int64_t done() const { return done_; }  // bytes
  const FileStamp& stamp() const { return stamp_; }
  uint64_t hash() const;  // at the end

 private:
  struct State;
  std::string path_;
  std::unique_ptr<State> state_;
  FileStamp stamp_;
  int64_t done_ = 0;
};

}  // namespace troupe
