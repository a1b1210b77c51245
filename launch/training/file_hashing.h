// Hashes files in short slices of time, so that ranks that wait for them hear of this one.
#pragma once

#include <chrono>
#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "core/io/file_hash.h"
#include "launch/training/known_hashes.h"

namespace troupe {

struct FileToHash {
  std::string path;              // absolute
  std::optional<uint64_t> hash;  // as a file beside it says
};

class FileHashing {
 public:
  // known: of this or an earlier start. A file with the stamp that is known is not read. One of
  // which a hash is said is read only when `doubt` is set and another stamp is known: then it was
  // changed since.
  FileHashing(std::vector<FileToHash> files, KnownHashes known, bool doubt);

  // Goes on for about so long; true when all is done. Unreadable, changed meanwhile: Error(data).
  bool advance(std::chrono::milliseconds slice);
  int64_t done() const { return done_ + (open_ ? open_->done() : 0); }
  int64_t total() const { return total_; }  // bytes of the files that are read

  // When all is done.
  uint64_t hash(const std::string& path) const { return hashes_.at(path); }
  const KnownHashes& known_now() const { return known_now_; }

 private:
  void finish(const FileStamp& stamp, uint64_t hash);

  std::vector<FileToHash> files_;
  KnownHashes known_;
  bool doubt_;
  size_t next_ = 0;
  std::unique_ptr<FileHasher> open_;
  int64_t done_ = 0;  // bytes of whole files
  int64_t total_ = 0;
  std::map<std::string, uint64_t> hashes_;
  KnownHashes known_now_;
};

}  // namespace troupe
