// How files of text are read: what data.field, data.format and data.invalid_utf8 say.
#pragma once

#include <cstdint>
#include <string>

#include "core/text/setting_name.h"

namespace troupe {

enum class TextFormat : uint8_t {
  automatic,  // JSON lines or text, told by the bytes (see text_format.h)
  text,
  json_lines,
  // As configurations were read that know no data.format: *.jsonl and *.ndjson are JSON lines, all
  // else is text as it stands: compressed or of another kind, with its byte order mark; linked
  // folders are not followed.
  by_name,
};

enum class InvalidUtf8 : uint8_t { keep, error, replace };

struct TextOptions {
  std::string field = "text";  // of JSON lines: the one that holds the text
  TextFormat format = TextFormat::automatic;
  InvalidUtf8 invalid_utf8 = InvalidUtf8::keep;
  // `keep` was chosen, it is no default: files of other kinds and files that are mostly no UTF-8
  // are taken as they are.
  bool keep_anything = false;
  bool skip_bad_rows = false;  // of JSON lines: they are counted, else the first is an error
  SettingNames names = bare_setting_names;  // what messages call all of these
};

// The words of the keys and options: auto, text, jsonl, by_name; keep, error, replace. Another:
// ExitCode::usage.
TextFormat text_format(const std::string& word);
InvalidUtf8 invalid_utf8(const std::string& word);

}  // namespace troupe
