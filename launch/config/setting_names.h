// What messages about texts and tokenizers call their settings (core/text/setting_name.h).
#pragma once

#include <string>
#include <string_view>

namespace troupe {

// "data.invalid_utf8", "data.invalid_utf8: keep".
std::string key_names(std::string_view setting, std::string_view value);
// "--invalid-utf8", "--invalid-utf8 keep"; "" for the tokenizer: a command has no say in that of a
// model.
std::string flag_names(std::string_view setting, std::string_view value);

}  // namespace troupe
