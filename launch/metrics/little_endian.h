// Fixed-width little-endian numbers in byte strings, whatever the machine's own order.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace troupe {

inline void put_little(std::string& out, uint64_t value, int bytes) {
  for (int i = 0; i < bytes; ++i) out.push_back(static_cast<char>((value >> (8 * i)) & 0xFFu));
}

// `at + bytes` must lie within `in`.
inline uint64_t get_little(std::string_view in, size_t at, int bytes) {
  uint64_t value = 0;
  for (int i = 0; i < bytes; ++i) {
    value |= uint64_t{static_cast<uint8_t>(in[at + static_cast<size_t>(i)])} << (8 * i);
  }
  return value;
}

}  // namespace troupe
