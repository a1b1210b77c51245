// JSON files of other programs.
#pragma once

#include <nlohmann/json.hpp>
#include <string>

namespace troupe {

// The object of a file. Error(checkpoint), with the path: not there, longer than most_bytes, nested
// deeper than 64, no JSON, no object, a key twice in one object.
nlohmann::json read_json_object(const std::string& path, int64_t most_bytes);
// The same of a text; `place` names it in messages.
nlohmann::json parse_json_object(const std::string& text, const std::string& place);

}  // namespace troupe
