#include "core/text/byte_escape.h"

#include <fmt/core.h>

#include <charconv>
#include <cstdint>

#include "core/text/utf8.h"

namespace troupe {
namespace {

constexpr std::string_view kMark = "bytes:";

// A character that stands for itself in every format: no control character, line end or
// non-character (the "printable" ones of YAML).
bool printable(std::string_view character) {
  const auto at = [&](size_t i) { return static_cast<uint8_t>(character[i]); };
  switch (character.size()) {
    case 1:
      return at(0) >= 0x20 && at(0) != 0x7F;
    case 2:
      return at(0) != 0xC2 || at(1) >= 0xA0;  // U+0080 to U+009F
    case 3:
      // U+2028, U+2029 end lines; U+FEFF marks byte order; U+FFFE and U+FFFF are no characters.
      return character != "\u2028" && character != "\u2029" && character != "\uFEFF" &&
             !(at(0) == 0xEF && at(1) == 0xBF && at(2) >= 0xBE);
    default:
      return true;
  }
}

}  // namespace

std::string escape_bytes(std::string_view bytes) {
  std::string escaped(kMark);
  bool plain = bytes.substr(0, kMark.size()) != kMark;
  for (std::string_view rest = bytes; !rest.empty();) {
    const Utf8Step step = utf8_step(rest);
    const std::string_view character = rest.substr(0, step.length);
    rest.remove_prefix(step.length);
    const bool itself = step.valid && printable(character);
    plain = plain && itself;
    if (itself && character != "%") {
      escaped += character;
      continue;
    }
    for (const char c : character) escaped += fmt::format("%{:02X}", static_cast<uint8_t>(c));
  }
  return plain ? std::string(bytes) : escaped;
}

std::optional<std::string> unescape_bytes(std::string_view text) {
  if (text.substr(0, kMark.size()) != kMark) return std::string(text);
  std::string bytes;
  for (size_t i = kMark.size(); i < text.size(); ++i) {
    if (text[i] != '%') {
      bytes += text[i];
      continue;
    }
    uint8_t byte = 0;
    const char* digits = text.data() + i + 1;
    if (text.size() - i < 3 || std::from_chars(digits, digits + 2, byte, 16).ptr != digits + 2) {
      return std::nullopt;
    }
    bytes += static_cast<char>(byte);
    i += 2;
  }
  return bytes;
}

}  // namespace troupe
