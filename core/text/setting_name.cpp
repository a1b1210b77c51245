#include "core/text/setting_name.h"

#include <algorithm>

namespace troupe {

std::string setting_name(SettingNames names, std::string_view setting, std::string_view value) {
  const bool keys = names == SettingNames::keys;
  std::string name(setting);
  if (!keys) std::replace(name.begin(), name.end(), '_', '-');
  name.insert(0, keys ? "data." : "--");
  if (!value.empty()) name.append(keys ? ": " : " ").append(value);
  return name;
}

}  // namespace troupe
