// A file with a seal (seal.h): written once, then read by ranges that the seal names.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "core/io/seal.h"

namespace troupe {

// Writes the seal into the first `block` bytes of a complete file and syncs it. Entries are ordered
// by path and carry the digest of what was meant to be written.
void seal_file(const std::string& path, int64_t block, std::vector<SealEntry> entries);

class SealedFile {
 public:
  // Checks seal and size, not yet the contents. Error(checkpoint) says what is wrong; for a
  // truncated file it names the first dataset that is cut. OpenElsewhere, from here and from all
  // checks, where another program writes the file.
  explicit SealedFile(const std::string& path);
  ~SealedFile();
  SealedFile(SealedFile&&) noexcept;
  SealedFile(const SealedFile&) = delete;
  SealedFile& operator=(const SealedFile&) = delete;

  const std::string& path() const { return path_; }
  const Seal& seal() const { return seal_; }
  // Reads every byte. The error names the first damaged dataset, expected and found digest.
  void check() const;
  // Reads what is outside seal and datasets: HDF5's own structure.
  void check_rest() const;
  // Bytes [begin, begin + bytes) of the entry.
  void read(const SealEntry& entry, int64_t begin, void* out, int64_t bytes) const;
  // The whole entry, its digest checked.
  std::string read_all(const SealEntry& entry) const;

 private:
  std::string path_;
  int descriptor_ = -1;
  Seal seal_;
};

// Throws the Error(checkpoint) of an entry whose bytes have another digest than its seal says.
[[noreturn]] void fail_digest(const std::string& file, const std::string& entry,
                              const Digest& expected, const Digest& found);

}  // namespace troupe
