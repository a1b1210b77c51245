#include "launch/app/text_arguments.h"

#include "launch/config/setting_names.h"

namespace troupe {

CommandLine& add_text_options(CommandLine& line) {
  return line.option("field", "F", "text", "of JSON lines: the one that holds the text")
      .option("format", "auto|text|jsonl", "auto", "what files hold, as data.format")
      .option(
          "invalid-utf8", "keep|error|replace", "keep",
          "bytes that are no UTF-8, as data.invalid_utf8; keep, written out, takes files of any "
          "kind");
}

TextOptions text_options(const Arguments& arguments, const TextOptions& run) {
  TextOptions options = run;
  options.keep_anything = false;
  options.names = flag_names;
  if (options.format == TextFormat::by_name) options.format = TextFormat::automatic;
  if (arguments.given("field")) options.field = arguments.text("field");
  if (arguments.given("format")) options.format = text_format(arguments.text("format"));
  if (arguments.given("invalid-utf8")) {
    options.invalid_utf8 = invalid_utf8(arguments.text("invalid-utf8"));
    options.keep_anything = options.invalid_utf8 == InvalidUtf8::keep;
  }
  return options;
}

}  // namespace troupe
