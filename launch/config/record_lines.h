// What a stored configuration remembers besides values: comment lines before its first key.
#pragma once

#include <string>
#include <vector>

namespace troupe {

// What follows `beginning` on each line before the first key that begins so.
std::vector<std::string> record_lines(const std::string& text, const std::string& beginning);

}  // namespace troupe
