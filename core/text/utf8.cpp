#include "core/text/utf8.h"

#include <cstdint>
#include <cstring>

namespace troupe {

Utf8Step utf8_step(std::string_view text) {
  const auto at = [&](size_t i) { return static_cast<uint8_t>(text[i]); };
  const uint8_t lead = at(0);
  if (lead < 0x80) return {1, true, true};
  if (lead < 0xC2 || lead > 0xF4) return {1, false, true};
  const size_t length = lead < 0xE0 ? 2 : lead < 0xF0 ? 3 : 4;
  // The second byte's range excludes overlong forms, surrogates and what is beyond U+10FFFF.
  const uint8_t low = lead == 0xE0 ? 0xA0 : lead == 0xF0 ? 0x90 : 0x80;
  const uint8_t high = lead == 0xED ? 0x9F : lead == 0xF4 ? 0x8F : 0xBF;
  for (size_t i = 1; i < length; ++i) {
    if (i == text.size()) return {i, false, false};
    const bool fits = i == 1 ? at(i) >= low && at(i) <= high : (at(i) & 0xC0) == 0x80;
    if (!fits) return {i, false, true};
  }
  return {length, true, true};
}

size_t utf8_valid_prefix(std::string_view text) {
  size_t position = 0;
  while (position < text.size()) {
    uint64_t word;
    while (position + 8 <= text.size()) {  // eight ASCII bytes at a time
      std::memcpy(&word, text.data() + position, 8);
      if ((word & 0x8080808080808080ULL) != 0) break;
      position += 8;
    }
    if (position == text.size()) break;
    const Utf8Step step = utf8_step(text.substr(position, 4));
    if (!step.valid) break;
    position += step.length;
  }
  return position;
}

std::string utf8_replaced(std::string_view text) {
  std::string out;
  while (!text.empty()) {
    const size_t good = utf8_valid_prefix(text);
    out += text.substr(0, good);
    text.remove_prefix(good);
    if (text.empty()) break;
    out += "\uFFFD";
    text.remove_prefix(utf8_step(text).length);
  }
  return out;
}

}  // namespace troupe
