#include "core/base/absent_path.h"

#include <filesystem>
#include <system_error>

namespace troupe {

std::string why_absent(const std::string& path) {
  std::error_code error;
  const std::filesystem::file_status found = std::filesystem::status(path, error);
  if (found.type() != std::filesystem::file_type::none) return "does not exist";
  return "cannot be reached: " + error.message();
}

}  // namespace troupe
