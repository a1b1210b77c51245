// Reading members of tokenizer files, which leave much out.
#pragma once

#include <nlohmann/json.hpp>
#include <string>

#include "core/base/error.h"

namespace troupe {

// A member, or null when it is missing or `object` is no object.
inline const nlohmann::json& member(const nlohmann::json& object, const char* key) {
  static const nlohmann::json null;
  if (!object.is_object()) return null;
  const auto found = object.find(key);
  return found == object.end() ? null : *found;
}

inline std::string text_of(const nlohmann::json& value, const std::string& otherwise = {}) {
  return value.is_string() ? value.get<std::string>() : otherwise;
}

// Neither true, false nor missing: ExitCode::data.
inline bool flag(const nlohmann::json& object, const char* key, bool otherwise,
                 const std::string& place) {
  const nlohmann::json& value = member(object, key);
  if (value.is_null()) return otherwise;
  if (!value.is_boolean()) fail(ExitCode::data, "{}: \"{}\" is neither true nor false", place, key);
  return value.get<bool>();
}

}  // namespace troupe
