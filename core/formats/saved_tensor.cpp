#include "core/formats/saved_tensor.h"

#include <fmt/format.h>

#include "core/text/byte_escape.h"

namespace troupe {

std::string shape_text(const std::vector<int64_t>& shape) {
  return fmt::format("[{}]", fmt::join(shape, ", "));
}

std::optional<int64_t> element_count(const std::vector<int64_t>& shape) {
  int64_t count = 1;
  for (const int64_t size : shape) {
    if (size < 0 || __builtin_mul_overflow(count, size, &count)) return std::nullopt;
  }
  return count;
}

std::string shown_name(const std::string& name) {
  constexpr size_t kMost = 200;
  const std::string text = escape_bytes(name.substr(0, kMost));
  return name.size() > kMost ? text + "..." : text;
}

}  // namespace troupe
