// A file's bytes, mapped into memory read-only.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

namespace troupe {

class MappedFile {
 public:
  // Missing, unreadable or not a regular file: ExitCode::data.
  explicit MappedFile(const std::string& path);
  std::string_view bytes() const { return bytes_; }
  // Keeps the mapping alive.
  const std::shared_ptr<const void>& owner() const { return owner_; }

 private:
  std::shared_ptr<const void> owner_;
  std::string_view bytes_;
};

}  // namespace troupe
