// Any bytes as text. Paths, names and whatever else a user brings are bytes; YAML, JSON and HTML
// hold UTF-8. A text that is none is written as "bytes:" and its bytes, of which '%', control
// characters and those that are no UTF-8 stand as %XX: "bytes:caf%E9/text.txt". So is one that
// begins with "bytes:" itself. Everything else stands as it is.
#pragma once

#include <optional>
#include <string>
#include <string_view>

namespace troupe {

// One line of well-formed UTF-8 that every YAML reader takes.
std::string escape_bytes(std::string_view bytes);
// The bytes that were escaped, or the text itself; nothing where a '%' is not followed by two
// hexadecimal digits.
std::optional<std::string> unescape_bytes(std::string_view text);

}  // namespace troupe
