#include "launch/config/reader.h"

#include <fmt/core.h>
#include <fmt/format.h>

#include <algorithm>
#include <filesystem>
#include <optional>
#include <set>

#include "launch/config/nearest.h"
#include "launch/config/parse_value.h"

namespace troupe {
namespace {

std::string join(const std::string& path, const std::string& name) {
  return path.empty() ? name : path + "." + name;
}

std::string last_part(const std::string& path) {
  const size_t dot = path.rfind('.');
  return dot == std::string::npos ? path : path.substr(dot + 1);
}

// The key of a node for this variant; null when the variant does not read it.
const Key* key_of(const SchemaNode& node, const std::string& variant) {
  for (const Key& key : node.keys) {
    if (key.variant.empty() || key.variant == variant) return &key;
  }
  return nullptr;
}

class Reader {
 public:
  Reader(ConfigValues& values, std::vector<Problem>& problems, const PathReading& paths)
      : values_(values), problems_(problems), paths_(paths) {}

  // A mapping (or nothing) against the members of a place, then its defaults, in schema order.
  void members(const YamlNode* node, const std::string& path, const std::vector<SchemaNode>& list,
               const SourceLocation& place);

 private:
  void place(const YamlNode* node, const std::string& path, const SchemaNode& schema,
             const std::string& variant, const SourceLocation& parent);
  void leaf(const YamlNode* node, const std::string& path, const Key& key,
            const SourceLocation& parent);
  void elements(const YamlNode& node, const std::string& path, const SchemaNode& schema);
  std::string variant_of(const YamlNode* node, const std::vector<SchemaNode>& list);
  void unknown_key(const std::string& name, const YamlNode& node, const SourceLocation& where,
                   const std::string& path, const std::vector<SchemaNode>& list);
  void check_duplicates(const YamlNode& node, const std::string& path);
  void not_read(const YamlNode& node, const SourceLocation& where, const std::string& path,
                const SchemaNode& schema, const std::string& variant);
  bool wrong_shape(const YamlNode& node, const std::string& path, const SchemaNode& schema);
  void problem(const SourceLocation& place, const std::string& key, const std::string& value,
               std::string rule, std::string fix = {}) {
    problems_.push_back(Problem{place, key, value, std::move(rule), std::move(fix)});
  }

  // Puts variables into a path and says where it stands. False after writing into `found`.
  bool read_path(const YamlNode& node, ConfigValue& entry, Problem& found) const;
  // A harmless value where none could be read.
  void placeholder(const std::string& path, const Key& key);

  ConfigValues& values_;
  std::vector<Problem>& problems_;
  const PathReading& paths_;
  bool silent_ = false;  // below a place of the wrong shape: nothing is missing there
};

void Reader::placeholder(const std::string& path, const Key& key) {
  FieldValue value = key.default_value;
  if (!key.has_default) {
    if (key.type == FieldType::integer) value = int64_t{1};
    if (key.type == FieldType::real) value = 1.0;
    if (key.type == FieldType::choice) value = key.choices.empty() ? "" : key.choices.front();
    if (key.type == FieldType::path || key.type == FieldType::text) value = std::string("?");
    if (key.type == FieldType::integer_list) value = std::vector<double>{};
  }
  values_.mark_broken(path);
  values_.add(ConfigValue{path, &key, std::move(value), {}, SourceLocation{}, {}});
}

void Reader::check_duplicates(const YamlNode& node, const std::string& path) {
  for (size_t i = 0; i < node.keys.size(); ++i) {
    const auto first = std::find(node.keys.begin(), node.keys.end(), node.keys[i]);
    const auto before = static_cast<size_t>(first - node.keys.begin());
    if (before == i) continue;
    problem(node.key_places[i], join(path, node.keys[i]), brief(node.items[i]),
            fmt::format("stands twice; first at line {} with the value {}",
                        node.key_places[before].line, brief(node.items[before])),
            "remove one of them");
  }
}

// The value of `type` (of `family` in a model) that decides which of the other keys are read; ""
// when it is unsound.
std::string Reader::variant_of(const YamlNode* node, const std::vector<SchemaNode>& list) {
  for (const SchemaNode& member : list) {
    if ((member.name != "type" && member.name != "family") || member.keys.empty()) continue;
    const Key& key = member.keys.front();
    const YamlNode* given = node == nullptr ? nullptr : node->find(member.name);
    if (given == nullptr) {
      return key.has_default ? std::get<std::string>(key.default_value) : std::string();
    }
    if (std::find(key.choices.begin(), key.choices.end(), given->text) == key.choices.end()) {
      return {};
    }
    return given->text;
  }
  return {};
}

void Reader::unknown_key(const std::string& name, const YamlNode& node, const SourceLocation& where,
                         const std::string& path, const std::vector<SchemaNode>& list) {
  const std::string full = join(path, name);
  if (name == "<<") {
    problem(where, full, brief(node), "merge keys are not supported",
            "write the keys out where they belong");
    return;
  }
  std::vector<std::string> here;
  for (const SchemaNode& member : list) here.push_back(member.name);
  // The same last part elsewhere: a key in the wrong section.
  std::vector<std::string> elsewhere;
  for (const std::string& candidate : schema_paths()) {
    if (candidate.find("[]") != std::string::npos) continue;
    for (std::string at = candidate; !at.empty();) {  // the key, and the sections that it is in
      const bool known = std::find(elsewhere.begin(), elsewhere.end(), at) != elsewhere.end();
      if (last_part(at) == name && !known) elsewhere.push_back(at);
      const size_t dot = at.rfind('.');
      at.resize(dot == std::string::npos ? 0 : dot);
    }
  }
  const std::string near = nearest(name, here);
  if (!elsewhere.empty()) {
    problem(where, full, brief(node), "stands in the wrong place",
            fmt::format("it belongs at {}", fmt::join(elsewhere, " or ")));
  } else if (!near.empty()) {
    problem(where, full, brief(node), "unknown key",
            fmt::format("did you mean {}?", join(path, near)));
  } else {
    std::vector<std::string> everywhere;
    for (const std::string& candidate : schema_paths()) {
      if (candidate.find("[]") == std::string::npos) everywhere.push_back(last_part(candidate));
    }
    std::string fix = fmt::format("keys here: {}", fmt::join(here, ", "));
    if (const std::string far = nearest(name, everywhere); !far.empty()) {
      for (const std::string& candidate : schema_paths()) {
        if (last_part(candidate) == far && candidate.find("[]") == std::string::npos) {
          fix = fmt::format("did you mean {}?", candidate);
          break;
        }
      }
    }
    problem(where, full, brief(node), "unknown key", fix);
  }
}

// A key of another type than the chosen one: an error unless it has its default.
void Reader::not_read(const YamlNode& node, const SourceLocation& where, const std::string& path,
                      const SchemaNode& schema, const std::string& variant) {
  std::vector<std::string> readers;
  const std::string& word = schema.keys.front().variant_key;
  for (const Key& key : schema.keys) {
    Problem found;
    const std::optional<FieldValue> value = parse_value(key, node, found);
    if (value && key.has_default && *value == key.default_value) return;
    readers.push_back(key.variant);
  }
  problem(where, path, brief(node),
          fmt::format("has no effect: {} {} does not read it", word, variant),
          fmt::format("remove it, or choose {} {}", word, fmt::join(readers, " or ")));
}

void Reader::members(const YamlNode* node, const std::string& path,
                     const std::vector<SchemaNode>& list, const SourceLocation& where) {
  const std::string variant = variant_of(node, list);
  if (node != nullptr) {
    values_.set_section(path, where);
    check_duplicates(*node, path);
    std::set<std::string> done;
    for (size_t i = 0; i < node->keys.size(); ++i) {
      if (!done.insert(node->keys[i]).second) continue;
      const auto member = std::find_if(list.begin(), list.end(), [&](const SchemaNode& candidate) {
        return candidate.name == node->keys[i];
      });
      if (member == list.end()) {
        unknown_key(node->keys[i], node->items[i], node->key_places[i], path, list);
      } else if (!variant.empty() && !member->keys.empty() && key_of(*member, variant) == nullptr) {
        not_read(node->items[i], node->key_places[i], join(path, node->keys[i]), *member, variant);
      }
    }
  }
  for (const SchemaNode& member : list) {
    const YamlNode* given = node == nullptr ? nullptr : node->find(member.name);
    SourceLocation parent = where;
    if (given != nullptr) {
      const auto at = std::find(node->keys.begin(), node->keys.end(), member.name);
      parent = node->key_places[static_cast<size_t>(at - node->keys.begin())];
    }
    place(given, join(path, member.name), member, variant, parent);
  }
}

bool Reader::wrong_shape(const YamlNode& node, const std::string& path, const SchemaNode& schema) {
  if (!node.tag.empty()) {
    problem(node.place, path, brief(node), "tags (" + node.tag + ") are not accepted",
            "write the plain value");
    return true;
  }
  if (!schema.keys.empty()) return false;  // a single value: its own check speaks
  if (node.is_mapping() && !schema.children.empty()) return false;
  if (node.is_sequence() && !schema.elements.empty()) return false;
  if (node.is_null() && schema.elements.empty()) return false;  // an empty section
  problem(node.place, path, node.is_null() ? "" : brief(node),
          schema.elements.empty() ? "must be a section (a mapping of keys)"
                                  : "must be a mapping or a list of mappings",
          fmt::format("see `troupe help {}`", schema.path));
  return true;
}

void Reader::place(const YamlNode* node, const std::string& path, const SchemaNode& schema,
                   const std::string& variant, const SourceLocation& parent) {
  const Key* key = key_of(schema, variant);
  if (!schema.keys.empty() && key == nullptr) return;  // of another variant: reported by members
  if (node == nullptr) {
    const bool mapping_by_default =
        !schema.children.empty() && (key == nullptr || (!key->has_default && !key->required));
    if (mapping_by_default) {
      members(nullptr, path, schema.children, parent);
    } else if (key != nullptr) {
      leaf(nullptr, path, *key, parent);
    }
    return;
  }
  if (wrong_shape(*node, path, schema)) {
    const bool before = silent_;
    silent_ = true;
    values_.mark_broken(path);
    if (key != nullptr) {
      placeholder(path, *key);
    } else {
      members(nullptr, path, schema.children, node->place);
    }
    silent_ = before;
    return;
  }
  if (node->is_sequence() && !schema.elements.empty()) {
    elements(*node, path, schema);
  } else if (node->is_mapping() && !schema.children.empty()) {
    members(node, path, schema.children, parent);
  } else if (key != nullptr) {
    leaf(node, path, *key, parent);
  } else {
    members(nullptr, path, schema.children, parent);  // an empty section
  }
}

void Reader::elements(const YamlNode& node, const std::string& path, const SchemaNode& schema) {
  if (node.items.empty()) {
    const Key* key = key_of(schema, "");
    if (key != nullptr && key->has_default) {  // "[]" means none
      values_.add(ConfigValue{path, key, key->default_value, "[]", node.place, {}});
    } else {
      problem(node.place, path, "[]", "the list is empty",
              fmt::format("see `troupe help {}`", schema.path));
      values_.mark_broken(path);
      if (key != nullptr) placeholder(path, *key);
      if (key == nullptr) members(nullptr, path, schema.children, node.place);
    }
    return;
  }
  for (size_t i = 0; i < node.items.size(); ++i) {
    const YamlNode& item = node.items[i];
    const std::string here = fmt::format("{}[{}]", path, i);
    if (!item.is_mapping()) {
      problem(item.place, here, brief(item), "must be a mapping of keys",
              fmt::format("see `troupe help {}`", schema.path));
      values_.mark_broken(here);
      const bool before = silent_;
      silent_ = true;
      members(nullptr, here, schema.elements, item.place);
      silent_ = before;
      continue;
    }
    members(&item, here, schema.elements, item.place);
  }
}

bool Reader::read_path(const YamlNode& node, ConfigValue& entry, Problem& found) const {
  const FieldType type = entry.key->type;
  if ((type != FieldType::path && type != FieldType::run_path) || entry.word()) return true;
  const bool in_file = node.place.source == Source::file;
  std::string path = std::get<std::string>(entry.value);
  if (paths_.expand_file || !in_file) {
    std::optional<std::string> expanded = expand_path(path, paths_.environment, found);
    if (!expanded) return false;
    if (*expanded != path) entry.automatic = path;
    path = std::move(*expanded);
  }
  if (type == FieldType::path && in_file && std::filesystem::path(path).is_relative()) {
    const std::filesystem::path folder = std::filesystem::path(values_.file).parent_path();
    path = (folder / path).lexically_normal().string();
  }
  entry.value = path;
  if (entry.word()) entry.value = "./" + path;  // a file that is called like a word
  return true;
}

void Reader::leaf(const YamlNode* node, const std::string& path, const Key& key,
                  const SourceLocation& parent) {
  if (node == nullptr) {
    if (key.required) {
      placeholder(path, key);
      if (silent_) return;
      problem(parent, path, "", fmt::format("is required ({})", describe_values(key)),
              fmt::format("meaning: {}", key.help));
    } else if (key.has_default) {
      values_.add(ConfigValue{path, &key, key.default_value, {}, SourceLocation{}, {}});
    }
    return;
  }
  Problem found;
  found.key = path;
  std::optional<FieldValue> value = parse_value(key, *node, found);
  if (!value) {
    problems_.push_back(std::move(found));
    placeholder(path, key);
    return;
  }
  ConfigValue entry{path, &key, std::move(*value), brief(*node), node->place, {}};
  if (!read_path(*node, entry, found)) {
    problems_.push_back(std::move(found));
    placeholder(path, key);
    return;
  }
  values_.add(std::move(entry));
}

}  // namespace

ConfigValues read_values(const YamlNode& root, const std::string& file,
                         std::vector<Problem>& problems, const PathReading& paths) {
  ConfigValues values;
  values.file = file;
  const SourceLocation start{Source::file, root.place.line == 0 ? 1 : root.place.line,
                             root.place.column == 0 ? 1 : root.place.column};
  if (!root.is_mapping()) {
    problems.push_back(
        Problem{start, "", "",
                root.is_null() ? "the file is empty" : "the file is not a mapping of sections",
                "begin with `version: 1`, then `model:` and the other sections"});
    return values;
  }
  Reader(values, problems, paths).members(&root, "", schema().children, start);
  return values;
}

}  // namespace troupe
