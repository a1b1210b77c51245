#include "core/text/setting_name.h"

namespace troupe {

std::string bare_setting_names(std::string_view setting, std::string_view value) {
  std::string name(setting);
  if (!value.empty()) name.append(": ").append(value);
  return name;
}

}  // namespace troupe
