// The seal of a checkpoint file: every byte of it is covered by a digest that is checked before
// anything else looks at the contents, so the HDF5 parser never sees a damaged file. The seal also
// says where each dataset stands; loading reads those ranges and needs no HDF5.
//
// First 512 bytes (HDF5's user block), text, padded with zero bytes:
//   troupe checkpoint 1
//   size <bytes of the file>
//   table <offset> <bytes> <digest>
//   rest <digest of all bytes outside this block, the table and the entries>
//   seal <digest of the lines above>
// Table at the end of the file, one line an entry, ordered by offset, fields separated by tabs:
//   <path> <f64|f32|bf16|i64|i32|u8|text> <global shape: 2x3, or - for a scalar> <offset> <bytes>
//   <digest>
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "core/io/hash.h"
#include "core/tensor/dtype.h"
#include "core/tensor/shape.h"

namespace troupe {

constexpr int64_t kSealBytes = 512;
constexpr int64_t kFormatVersion = 1;

struct SealedEntry {
  std::string path;            // "/parameters/layers.0.attention.q"
  std::optional<DType> dtype;  // none: text
  Shape shape;
  int64_t offset = 0;
  int64_t bytes = 0;
  Digest digest;
};

// Writes table and seal to a file whose first kSealBytes bytes are free, and syncs it. Entries give
// path, dtype, shape, offset, bytes and the digest of what was meant to be written.
void seal_file(const std::string& path, std::vector<SealedEntry> entries);

class SealedFile {
 public:
  // Checks size, seal and table, not yet the contents. Error(checkpoint) says what is wrong where.
  explicit SealedFile(const std::string& path);
  ~SealedFile();
  SealedFile(SealedFile&&) noexcept;
  SealedFile(const SealedFile&) = delete;
  SealedFile& operator=(const SealedFile&) = delete;

  const std::string& path() const { return path_; }
  int64_t size() const { return size_; }
  const std::vector<SealedEntry>& entries() const { return entries_; }  // ordered by path
  const SealedEntry* find(std::string_view path) const;
  // Reads every byte. The error names the first damaged entry with expected and found digest.
  void check() const;
  // Bytes [begin, begin + bytes) of the entry.
  void read(const SealedEntry& entry, int64_t begin, void* out, int64_t bytes) const;

 private:
  std::string path_;
  int descriptor_ = -1;
  int64_t size_ = 0;
  int64_t table_offset_ = 0;
  Digest rest_;
  std::vector<SealedEntry> entries_;
};

}  // namespace troupe
