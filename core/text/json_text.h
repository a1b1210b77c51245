// JSON values as text.
#pragma once

#include <nlohmann/json.hpp>
#include <string>

namespace troupe {

// Texts that are no UTF-8, as paths may be, are written by escape_bytes(): nothing is lost, and no
// value throws. indent: spaces a level; -1 = all in one line.
std::string json_text(nlohmann::ordered_json value, int indent = -1);

}  // namespace troupe
