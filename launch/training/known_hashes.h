// The hashes of a run's inputs with the stamps that the files had: a file that is unchanged is not
// read again. A small file in the run directory, a line each:
//
//   <hash> <inode> <bytes> <modified> <changed> <path>
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>

#include "core/io/file_hash.h"

namespace troupe {

constexpr const char* kKnownHashesFile = "input_hashes.txt";

class KnownHashes {
 public:
  KnownHashes() = default;
  // Of a file; empty where it is missing or unreadable. Lines that are no entries are left out.
  static KnownHashes read(const std::string& file);
  static KnownHashes parse(const std::string& text);
  std::string text() const;

  // Paths are absolute. One with a line break is not kept.
  void add(const std::string& path, const FileStamp& stamp, uint64_t hash);
  // The hash if the file of this path had this stamp.
  std::optional<uint64_t> find(const std::string& path, const FileStamp& stamp) const;
  bool has(const std::string& path) const { return entries_.contains(path); }

 private:
  struct Entry {
    FileStamp stamp;
    uint64_t hash = 0;
  };
  std::map<std::string, Entry> entries_;
};

}  // namespace troupe
