// All values of a configuration, flat, in the order of the schema, each with where it comes from.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "core/base/error.h"
#include "launch/config/problem.h"
#include "launch/config/schema.h"

namespace troupe {

struct ConfigValue {
  std::string path;          // actual: "moe.balance[0].coef"
  const Key* key = nullptr;  // in the schema, which lives as long as the program
  FieldValue value;          // as given or default; then resolved
  std::string given;         // as written; empty for defaults
  SourceLocation place;      // Source::none for defaults
  std::string automatic;  // what a rule ("auto", "same") or variables ("$DIR/x") replaced; or empty
  bool word() const;      // the value is one of the key's words
};

class ConfigValues {
 public:
  std::string file;  // as given, for messages and origins

  void add(ConfigValue entry);
  // This place has a problem: rules that read it, or a place below or above it, are not applied.
  void mark_broken(const std::string& path) { broken_.push_back(path); }
  bool broken(const std::string& path) const;
  // Where a section or list element begins; the place of a value that is not given is that of the
  // innermost one around it.
  void set_section(const std::string& path, const SourceLocation& place) {
    sections_[path] = place;
  }
  SourceLocation nearest_location(const std::string& path) const;
  const std::vector<ConfigValue>& entries() const { return entries_; }
  const ConfigValue* find(const std::string& path) const;
  // Elements of a list of mappings ("moe.balance" -> 2); 0 when there is none.
  int count(const std::string& path) const;

  bool has(const std::string& path) const { return find(path) != nullptr; }
  bool boolean(const std::string& path) const { return get<bool>(path); }
  int64_t integer(const std::string& path) const { return get<int64_t>(path); }
  double real(const std::string& path) const { return get<double>(path); }
  const std::string& text(const std::string& path) const { return get<std::string>(path); }
  const std::vector<double>& list(const std::string& path) const {
    return get<std::vector<double>>(path);
  }
  // The value is this word ("auto", "none", ...).
  bool is_word(const std::string& path, const std::string& word) const;
  // Replaces a word by what its rule gives.
  void resolve(const std::string& path, FieldValue value);
  // Puts another value in the place of a given one, which is no word.
  void replace(const std::string& path, FieldValue value);
  // "default", "3:5" (with its file "FILE:3:5"), "command line", "auto -> 4, default", ...
  std::string origin(const ConfigValue& entry, bool with_file = false) const;
  // Value as written in YAML.
  static std::string shown(const ConfigValue& entry) {
    return format_key_value(*entry.key, entry.value);
  }

 private:
  template <typename T>
  const T& get(const std::string& path) const {
    const ConfigValue* entry = find(path);
    require(entry != nullptr, "configuration key {} was read but is not set", path);
    const T* value = std::get_if<T>(&entry->value);
    require(value != nullptr, "configuration key {} was read as another type", path);
    return *value;
  }
  std::vector<ConfigValue> entries_;
  std::map<std::string, size_t> index_;
  std::vector<std::string> broken_;
  std::map<std::string, SourceLocation> sections_;
};

}  // namespace troupe
