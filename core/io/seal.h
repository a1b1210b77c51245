// The seal of a checkpoint file: a text in HDF5's user block (the first bytes of the file, left
// alone by HDF5) that covers every byte of the file with a digest. It is checked before anything
// else looks at the contents, so a damaged file never reaches the HDF5 parser, and it says where
// each dataset stands, so loading needs no HDF5.
//
//   troupe checkpoint 1
//   block <bytes of this block: a power of two, at least 512>
//   size <bytes of the file>
//   <digest> <offset> <bytes> <f64|f32|bf16|i64|i32|u8|text> <shape: 2x3; - for a scalar> <path>
//   ...                                                   one line a dataset, ordered by path
//   rest <digest of all bytes outside this block and the datasets>
//   seal <digest of the lines above>
//
// The remainder of the block is zero. Digests are XXH3-128 of the dataset's bytes, that is of the
// global tensor in row-major, little-endian order.
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

constexpr int64_t kFormatVersion = 1;
constexpr int64_t kSmallestBlock = 512;
constexpr int64_t kLargestBlock = 64LL << 20;

struct SealEntry {
  std::string path;            // "/parameters/layers.0.attention.q"
  std::optional<DType> dtype;  // none: text
  Shape shape;
  int64_t offset = 0;  // in the file; 0 when empty
  int64_t bytes = 0;
  Digest digest;
};

struct Seal {
  int64_t block = 0;
  int64_t size = 0;
  std::vector<SealEntry> entries;  // ordered by path
  Digest rest;
  const SealEntry* find(std::string_view path) const;
};

// The smallest block that holds the seal of these entries, whatever offsets and digests they get.
int64_t seal_block_bytes(const std::vector<SealEntry>& entries);
// The block, zero-padded. Error(internal) when it does not fit or an entry cannot be written.
std::string format_seal(const Seal& seal);
// The block size that the first bytes (up to kSmallestBlock) of a file announce. `place` names the
// file in the Error(checkpoint).
int64_t announced_block(std::string_view first_bytes, const std::string& place);
// Parses a whole block and checks everything that can be checked without the rest of the file:
// digest, canonical form, shapes, sizes, no overlap, all inside the file.
Seal parse_seal(std::string_view block, const std::string& place);
// "f32", or "text".
std::string type_name(const std::optional<DType>& dtype);

}  // namespace troupe
