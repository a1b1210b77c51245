// Kinds of compressed files, known by their first bytes.
#pragma once

#include <cstdint>
#include <string_view>

namespace troupe {

enum class Compression : uint8_t { none, gzip, zstd, xz, bzip2 };

// What a file that begins with these bytes (16 are enough) is compressed with.
Compression compression_of(std::string_view head);
const char* name(Compression kind);

}  // namespace troupe
