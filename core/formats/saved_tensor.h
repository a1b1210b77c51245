// A tensor in a file of another program.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "core/formats/stored_type.h"

namespace troupe {

struct SavedTensor {
  std::string name;
  StoredType type = StoredType::f32;
  std::vector<int64_t> shape;  // any rank; row-major
  int64_t offset = 0;          // of its first byte in the file
  int64_t bytes = 0;
};

// "[2, 3]"; "[]" for a scalar.
std::string shape_text(const std::vector<int64_t>& shape);
// The product; nothing where a size is negative or the product does not fit 63 bits.
std::optional<int64_t> element_count(const std::vector<int64_t>& shape);
// A name for messages: at most 200 characters, control characters and what is no UTF-8 escaped.
std::string shown_name(const std::string& name);

}  // namespace troupe
