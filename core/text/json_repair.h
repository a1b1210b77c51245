// JSON as other programs write it against the standard, changed so that a strict parser reads it
// and what was changed can be seen in the texts that it gives.
#pragma once

#include <string>
#include <string_view>

namespace troupe {

struct RepairedJson {
  std::string line;
  bool changed = false;
};

// Outside texts NaN, Infinity and -Infinity become 0, and numbers that a double cannot hold become
// smaller. In texts each byte that is no UTF-8 and each escape of half a surrogate pair becomes a
// mark (a character that the line does not hold). A line that has marks of its own is left as it
// is.
RepairedJson repair_json(std::string_view line);

struct RestoredText {
  std::string text;
  bool bytes = false;   // some byte that is no UTF-8 is back
  bool halves = false;  // some half of a surrogate pair is U+FFFD now
};

// A parsed text with its marks undone.
RestoredText restore_text(std::string_view text);

}  // namespace troupe
