#include "launch/config/setting_names.h"

#include <algorithm>

namespace troupe {

std::string key_names(std::string_view setting, std::string_view value) {
  std::string name = "data." + std::string(setting);
  if (!value.empty()) name.append(": ").append(value);
  return name;
}

std::string flag_names(std::string_view setting, std::string_view value) {
  if (setting == "tokenizer") return {};
  std::string name = "--" + std::string(setting);
  std::replace(name.begin(), name.end(), '_', '-');
  if (!value.empty()) name.append(" ").append(value);
  return name;
}

}  // namespace troupe
