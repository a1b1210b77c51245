// JSON that is one value for the whole file, which is easily taken for JSON lines.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "core/text/file_kind.h"

namespace troupe {

enum class JsonDocument : uint8_t {
  none,    // no JSON, or JSON that is no collection of texts
  list,    // of objects or of texts
  object,  // the first value is an object over several lines, with a text in the field
};

JsonDocument json_document(const FileHead& head, const std::string& field);

// Nothing in this beginning of a file is against the grammar of JSON.
bool begins_like_json(std::string_view head);

}  // namespace troupe
