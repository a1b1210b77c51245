// Fixed facts of the .idx format, shared by reader and writer: 9 bytes magic, u64 version, u8 type
// code, u64 sequences S, u64 document entries D; then S i32 lengths (tokens), S i64 byte offsets
// into .bin, D i64 sequence numbers (0 first, S last), and optionally S i8 modes. Little-endian.
#pragma once

#include <cstdint>

namespace troupe {

constexpr char kIndexMagic[9] = {'M', 'M', 'I', 'D', 'I', 'D', 'X', 0, 0};
constexpr uint64_t kIndexVersion = 1;
constexpr int64_t kIndexFixedBytes = 34;

}  // namespace troupe
