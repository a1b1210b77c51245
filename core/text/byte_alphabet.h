// GPT-2's way to write bytes as printable characters: bytes 33-126, 161-172 and 174-255 stand for
// the character of their own number, the other 68 in rising order for U+0100 to U+0143.
#pragma once

#include <optional>
#include <string>
#include <string_view>

namespace troupe {

// The bytes that a token string stands for; nothing if it has a character outside the alphabet.
std::optional<std::string> alphabet_to_bytes(std::string_view token);
std::string bytes_to_alphabet(std::string_view bytes);

}  // namespace troupe
