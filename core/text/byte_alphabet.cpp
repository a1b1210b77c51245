#include "core/text/byte_alphabet.h"

#include <array>
#include <cstdint>

namespace troupe {
namespace {

struct Alphabet {
  std::array<uint16_t, 256> character{};  // of each byte
  std::array<int16_t, 0x144> byte_of{};   // of each character, -1 = none
};

constexpr Alphabet make_alphabet() {
  Alphabet alphabet;
  for (auto& byte : alphabet.byte_of) byte = -1;
  uint16_t next = 0x100;
  for (int byte = 0; byte < 256; ++byte) {
    const bool printable =
        (byte >= 33 && byte <= 126) || (byte >= 161 && byte <= 172) || byte >= 174;
    const uint16_t character = printable ? static_cast<uint16_t>(byte) : next++;
    alphabet.character[static_cast<size_t>(byte)] = character;
    alphabet.byte_of[character] = static_cast<int16_t>(byte);
  }
  return alphabet;
}

constexpr Alphabet kAlphabet = make_alphabet();

}  // namespace

std::optional<std::string> alphabet_to_bytes(std::string_view token) {
  std::string bytes;
  for (size_t i = 0; i < token.size(); ++i) {
    const auto lead = static_cast<uint8_t>(token[i]);
    uint32_t character = lead;
    if (lead >= 0x80) {  // the alphabet needs at most two bytes of UTF-8
      if ((lead & 0xE0) != 0xC0 || i + 1 == token.size()) return std::nullopt;
      const auto trail = static_cast<uint8_t>(token[++i]);
      if ((trail & 0xC0) != 0x80) return std::nullopt;
      character = (lead & 0x1FU) << 6 | (trail & 0x3FU);
    }
    if (character >= kAlphabet.byte_of.size() || kAlphabet.byte_of[character] < 0)
      return std::nullopt;
    bytes.push_back(static_cast<char>(kAlphabet.byte_of[character]));
  }
  return bytes;
}

std::string bytes_to_alphabet(std::string_view bytes) {
  std::string token;
  for (const char byte : bytes) {
    const uint16_t character = kAlphabet.character[static_cast<uint8_t>(byte)];
    if (character < 0x80) {
      token.push_back(static_cast<char>(character));
    } else {
      token.push_back(static_cast<char>(0xC0 | character >> 6));
      token.push_back(static_cast<char>(0x80 | (character & 0x3F)));
    }
  }
  return token;
}

}  // namespace troupe
