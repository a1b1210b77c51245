// One value of the file against its key: type, range and choices.
#pragma once

#include <cstddef>
#include <optional>
#include <string>

#include "launch/config/schema.h"
#include "launch/config/yaml.h"

namespace troupe {

constexpr size_t kLongestText = 4096;  // bytes; the system takes no longer path

// The value, or nothing after writing rule and fix into `problem`.
std::optional<FieldValue> parse_value(const Key& key, const YamlNode& node, Problem& problem);

}  // namespace troupe
