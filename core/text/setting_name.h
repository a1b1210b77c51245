// What messages call the settings of texts and tokenizers: as the user wrote them, by the keys of a
// configuration or by the flags of a command, which only the caller knows.
#pragma once

#include <string>
#include <string_view>

namespace troupe {

// setting: "invalid_utf8". The setting, or with a value both, as the user writes them; "" for one
// that the user cannot choose.
using SettingNames = std::string (*)(std::string_view setting, std::string_view value);

// For callers that have no other: "invalid_utf8", "invalid_utf8: keep".
std::string bare_setting_names(std::string_view setting, std::string_view value);

inline std::string setting_name(SettingNames names, std::string_view setting,
                                std::string_view value = {}) {
  return names(setting, value);
}

}  // namespace troupe
