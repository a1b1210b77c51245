// CRC-32C (Castagnoli polynomial, reflected; RFC 3720 appendix B.4), of TensorBoard's records and
// of experts.bin.
#pragma once

#include <cstdint>
#include <string_view>

namespace troupe {

uint32_t crc32c(std::string_view bytes);

}  // namespace troupe
