// Properties of characters that tokenizers ask for, and Unicode's normal form NFC.
#pragma once

#include <string>
#include <string_view>

namespace troupe {

// Unicode's White_Space.
bool is_white_space(char32_t character);
// What \w means in tokenizer.json files: letters, marks, digits, connectors and joiners.
bool is_word_character(char32_t character);

// The first or last character of a text; U+FFFD where its bytes are no UTF-8. The text must not be
// empty. `length`: its bytes.
char32_t first_character(std::string_view text, size_t& length);
char32_t last_character(std::string_view text, size_t& length);

// True if the text is in NFC for certain: none of its characters is U+0300 or above. (Those below
// are in NFC whatever their order.)
bool is_plainly_nfc(std::string_view text);
// The text in NFC. Bytes that are no UTF-8 stay as they are, and nothing composes across them.
std::string nfc(std::string_view text);

}  // namespace troupe
