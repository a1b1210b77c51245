// Ways in which a caller of core/text may call its settings.
#pragma once

#include <algorithm>
#include <string>
#include <string_view>

namespace troupe {

inline std::string named_as_keys(std::string_view setting, std::string_view value) {
  std::string name = "data." + std::string(setting);
  if (!value.empty()) name.append(": ").append(value);
  return name;
}

inline std::string named_as_flags(std::string_view setting, std::string_view value) {
  std::string name = "--" + std::string(setting);
  std::replace(name.begin(), name.end(), '_', '-');
  if (!value.empty()) name.append(" ").append(value);
  return name;
}

}  // namespace troupe
