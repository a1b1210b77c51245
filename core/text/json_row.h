// One row of a JSON lines file: an object with a text in one of its fields.
//
// What stands in other fields only has to let the row be read as an object: NaN, Infinity and
// -Infinity, which Python writes, halves of surrogate pairs and bytes that are no UTF-8 are no
// fault there. Of a field that is given twice the last one counts.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "core/text/text_options.h"

namespace troupe {

enum class RowKind : uint8_t {
  text,       // the object has the text
  no_text,    // an object without the field, or with something else in it
  no_object,  // other JSON
  no_json,    // not valid JSON, or a text that has no form in UTF-8
};

struct JsonRow {
  RowKind kind = RowKind::no_json;
  // Of the field. Bytes that are no UTF-8 are in it as they were.
  std::string text;
  bool half_pair = false;  // half a surrogate pair became U+FFFD in it
  std::string fault;       // what is wrong, unless kind is text
  int64_t column = 0;      // byte of the line where, from 1; 0 = nowhere in particular
};

// line: without its end. With invalid_utf8 `replace` half a surrogate pair becomes U+FFFD, else it
// is a fault; with `error` a byte that is no UTF-8 in the text is one.
JsonRow read_json_row(std::string_view line, const TextOptions& options);

}  // namespace troupe
