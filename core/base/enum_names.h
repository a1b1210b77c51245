// The words of an enumeration, said once: for reading it, for listing it, for showing it.
#pragma once

#include <string>
#include <utility>
#include <vector>

#include "core/base/error.h"

namespace troupe {

template <typename E>
using EnumNames = std::vector<std::pair<const char*, E>>;

template <typename E>
const char* name_in(const EnumNames<E>& names, E value) {
  for (const auto& [name, one] : names) {
    if (one == value) return name;
  }
  require(false, "an enumeration has a value without a name");
  return "";
}

template <typename E>
E value_in(const EnumNames<E>& names, const std::string& wanted) {
  for (const auto& [name, value] : names) {
    if (wanted == name) return value;
  }
  require(false, "'{}' is no name of an enumeration", wanted);
  return names.front().second;
}

template <typename E>
std::vector<std::string> words_of(const EnumNames<E>& names) {
  std::vector<std::string> words;
  for (const auto& [name, value] : names) words.emplace_back(name);
  return words;
}

}  // namespace troupe
