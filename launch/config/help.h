// Text of `troupe help KEY`, from the same table that checks the keys.
#pragma once

#include <string>

namespace troupe {

// Meaning, values, default and what happens on resume of a key or section. A last part alone
// ("top_k") explains every key of that name. Throws Error(usage) with the nearest key.
std::string explain_key(const std::string& key);

// One line per section, for `troupe help`.
std::string explain_sections();

}  // namespace troupe
