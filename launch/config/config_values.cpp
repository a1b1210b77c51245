#include "launch/config/config_values.h"

#include <algorithm>

namespace troupe {

bool ConfigValue::word() const {
  const auto* text = std::get_if<std::string>(&value);
  return text != nullptr &&
         std::find(key->words.begin(), key->words.end(), *text) != key->words.end();
}

void ConfigValues::add(ConfigValue entry) {
  index_[entry.path] = entries_.size();
  entries_.push_back(std::move(entry));
}

bool ConfigValues::broken(const std::string& path) const {
  const auto within = [](const std::string& inner, const std::string& outer) {
    return inner.rfind(outer, 0) == 0 && (inner.size() == outer.size() ||
                                          inner[outer.size()] == '.' || inner[outer.size()] == '[');
  };
  return std::any_of(broken_.begin(), broken_.end(), [&](const std::string& place) {
    return within(place, path) || within(path, place);
  });
}

SourceLocation ConfigValues::nearest_location(const std::string& path) const {
  std::string outer = path;
  for (;;) {
    const auto found = sections_.find(outer);
    if (found != sections_.end()) return found->second;
    const size_t end = outer.find_last_of(".[");
    if (outer.empty()) return {};
    outer.resize(end == std::string::npos ? 0 : end);
  }
}

const ConfigValue* ConfigValues::find(const std::string& path) const {
  const auto found = index_.find(path);
  return found == index_.end() ? nullptr : &entries_[found->second];
}

int ConfigValues::count(const std::string& path) const {
  int elements = 0;
  for (;; ++elements) {
    const std::string prefix = fmt::format("{}[{}].", path, elements);
    const auto found = index_.lower_bound(prefix);
    if (found == index_.end() || found->first.rfind(prefix, 0) != 0) return elements;
  }
}

bool ConfigValues::is_word(const std::string& path, const std::string& word) const {
  const ConfigValue* entry = find(path);
  if (entry == nullptr || !entry->word()) return false;
  return std::get<std::string>(entry->value) == word;
}

void ConfigValues::resolve(const std::string& path, FieldValue value) {
  const auto found = index_.find(path);
  require(found != index_.end(), "configuration key {} was resolved but is not set", path);
  ConfigValue& entry = entries_[found->second];
  require(entry.word(), "configuration key {} was resolved but is not a word", path);
  entry.automatic = std::get<std::string>(entry.value);
  entry.value = std::move(value);
}

void ConfigValues::replace(const std::string& path, FieldValue value) {
  const auto found = index_.find(path);
  require(found != index_.end(), "configuration key {} was replaced but is not set", path);
  entries_[found->second].value = std::move(value);
}

std::string ConfigValues::origin(const ConfigValue& entry, bool with_file) const {
  const bool named = with_file && entry.place.source == Source::file;
  const std::string where = (named ? file + ":" : "") + troupe::text(entry.place);
  if (entry.automatic.empty()) return where;
  return fmt::format("{} -> {}, {}", entry.automatic, shown(entry), where);
}

}  // namespace troupe
