// Who is told how far a conversion is.
#pragma once

#include <cstdint>
#include <functional>

namespace troupe {

// done: bytes read so far. May throw.
using ConversionWatch = std::function<void(int64_t done)>;

}  // namespace troupe
