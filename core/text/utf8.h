// Where UTF-8 characters begin and end.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

namespace troupe {

// U+FEFF at the beginning of a file, which is no part of its text.
inline constexpr std::string_view kByteOrderMark = "\xEF\xBB\xBF";

struct Utf8Step {
  size_t length = 0;      // bytes of the character, or of the part that cannot become one
  bool valid = false;     // a whole, well-formed character (RFC 3629)
  bool complete = false;  // false: well-formed so far, but the text ends inside the character
};

// Looks at the front of a text that is not empty. An ill-formed front is as long as the Unicode
// standard's "maximal subpart", so replacing it by U+FFFD gives what other programs give.
Utf8Step utf8_step(std::string_view text);

// Length of the longest prefix that is well-formed.
size_t utf8_valid_prefix(std::string_view text);

// The text with U+FFFD in place of each ill-formed part: for showing, where bytes may be lost.
std::string utf8_replaced(std::string_view text);

}  // namespace troupe
