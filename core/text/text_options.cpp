#include "core/text/text_options.h"

#include "core/base/error.h"

namespace troupe {

TextFormat text_format(const std::string& word) {
  if (word == "auto") return TextFormat::automatic;
  if (word == "text") return TextFormat::text;
  if (word == "jsonl") return TextFormat::json_lines;
  if (word == "by_name") return TextFormat::by_name;
  fail(ExitCode::usage, "\"{}\" is no format of text: auto, text or jsonl", word);
}

InvalidUtf8 invalid_utf8(const std::string& word) {
  if (word == "keep") return InvalidUtf8::keep;
  if (word == "error") return InvalidUtf8::error;
  if (word == "replace") return InvalidUtf8::replace;
  fail(ExitCode::usage, "\"{}\" is nothing to do with invalid UTF-8: keep, error or replace", word);
}

}  // namespace troupe
