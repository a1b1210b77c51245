// JSON that is one value for the whole file, or goes on over several lines, which is easily taken
// for JSON lines.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "core/text/file_kind.h"

namespace troupe {

enum class JsonDocument : uint8_t {
  none,     // no JSON, or JSON that is no collection of texts
  list,     // of objects or of texts
  objects,  // with a text in the field, or several one behind the other
  nested,   // one object, with such objects somewhere inside
  columns,  // one object, with many texts in the field
};

// From the beginning of a file; what it lacks at its end, and what other programs write against the
// standard (json_repair.h), is no matter. A single object that has nothing in the field, itself or
// inside, is a setting rather than data: none.
JsonDocument json_document(const FileHead& head, const std::string& field);

// Nothing in this beginning of a file is against the grammar of JSON.
bool begins_like_json(std::string_view head);

}  // namespace troupe
