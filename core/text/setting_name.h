// What messages call the settings of texts and tokenizers: by the keys of a configuration, or by
// the flags of a command, whichever the user wrote.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace troupe {

enum class SettingNames : uint8_t { keys, flags };

// setting: "invalid_utf8". With keys "data.invalid_utf8", or with a value "data.invalid_utf8:
// keep"; with flags "--invalid-utf8", "--invalid-utf8 keep".
std::string setting_name(SettingNames names, std::string_view setting, std::string_view value = {});

}  // namespace troupe
