// Files of other programs, opened for reading.
#pragma once

#include <string>

#include "core/io/posix_file.h"

namespace troupe {

// Links are followed. Missing, unreadable or no regular file: Error(checkpoint) with the reason.
PosixFile open_source(const std::string& path);
// The whole text of a small one: a longer one is Error(checkpoint).
std::string read_source(const std::string& path, int64_t most_bytes);

}  // namespace troupe
