#include "launch/config/schema.h"

#include <fmt/core.h>
#include <fmt/format.h>

#include "core/base/error.h"
#include "launch/config/key_maker.h"
#include "launch/config/scalar.h"
#include "launch/config/schema_keys.h"

namespace troupe {
namespace {

// "moe.balance[].coef" -> {"moe", "balance", "[]", "coef"}; "[3]" becomes "[]".
std::vector<std::string> parts_of(const std::string& path) {
  std::vector<std::string> parts;
  std::string part;
  const auto flush = [&] {
    if (!part.empty()) parts.push_back(part);
    part.clear();
  };
  for (size_t i = 0; i < path.size(); ++i) {
    if (path[i] == '.') {
      flush();
    } else if (path[i] == '[') {
      flush();
      parts.push_back("[]");
      while (i < path.size() && path[i] != ']') ++i;
    } else {
      part += path[i];
    }
  }
  flush();
  return parts;
}

SchemaNode& descend(SchemaNode& node, const std::string& name, bool element) {
  std::vector<SchemaNode>& list = element ? node.elements : node.children;
  for (SchemaNode& child : list) {
    if (child.name == name) return child;
  }
  SchemaNode child;
  child.name = name;
  child.path = node.path + (element ? "[]" : "") + (node.path.empty() ? "" : ".") + name;
  list.push_back(std::move(child));
  return list.back();
}

SchemaNode& place_of(SchemaNode& root, const std::string& path) {
  SchemaNode* node = &root;
  bool element = false;
  for (const std::string& part : parts_of(path)) {
    if (part == "[]") {
      element = true;
      continue;
    }
    node = &descend(*node, part, element);
    element = false;
  }
  return *node;
}

SchemaNode build() {
  SchemaNode root;
  const auto add = [&](const std::vector<Key>& keys) {
    for (const Key& key : keys) place_of(root, key.path).keys.push_back(key);
  };
  add({integer_key("version", "Version of this file format.").value(int64_t{1}).from(1).to(1)});
  add(run_keys());
  add(model_keys());
  add(moe_keys());
  add(data_keys());
  add(optimizer_keys());
  add(schedule_keys());
  add(train_keys());
  add(parallel_keys());
  add(machine_keys());
  for (const auto& [path, help] : section_help()) place_of(root, path).help = help;
  return root;
}

void collect(const SchemaNode& node, std::vector<std::string>& out) {
  if (!node.keys.empty()) out.push_back(node.path);
  for (const SchemaNode& child : node.children) collect(child, out);
  for (const SchemaNode& child : node.elements) collect(child, out);
}

std::string range_text(const Key& key) {
  const bool whole = key.type == FieldType::integer || key.type == FieldType::integer_list;
  const auto number = [&](double value) {
    return whole ? fmt::format("{}", static_cast<int64_t>(value)) : fmt::format("{}", value);
  };
  const bool low = key.minimum > -std::numeric_limits<double>::infinity();
  const bool high = key.maximum < std::numeric_limits<double>::infinity();
  const char* above = key.exclusive_minimum ? "above " : "";
  if (low && high && key.minimum == key.maximum) return ", only " + number(key.minimum);
  if (low && high) {
    return key.exclusive_minimum
               ? fmt::format(", above {} up to {}", number(key.minimum), number(key.maximum))
               : fmt::format(", {} to {}", number(key.minimum), number(key.maximum));
  }
  if (low) {
    return key.exclusive_minimum ? fmt::format(", {}{}", above, number(key.minimum))
                                 : fmt::format(", {} or more", number(key.minimum));
  }
  if (high) return fmt::format(", at most {}", number(key.maximum));
  return {};
}

}  // namespace

const SchemaNode* SchemaNode::child(const std::string& wanted) const {
  for (const SchemaNode& node : children) {
    if (node.name == wanted) return &node;
  }
  return nullptr;
}

const SchemaNode* SchemaNode::element(const std::string& wanted) const {
  for (const SchemaNode& node : elements) {
    if (node.name == wanted) return &node;
  }
  return nullptr;
}

const SchemaNode& schema() {
  static const SchemaNode root = build();
  return root;
}

const SchemaNode* find_schema(const std::string& path) {
  const SchemaNode* node = &schema();
  bool element = false;
  for (const std::string& part : parts_of(path)) {
    if (part == "[]") {
      element = true;
      continue;
    }
    node = element ? node->element(part) : node->child(part);
    element = false;
    if (node == nullptr) return nullptr;
  }
  return node;
}

std::vector<std::string> schema_paths() {
  std::vector<std::string> paths;
  collect(schema(), paths);
  return paths;
}

namespace {

// Without the other shapes.
std::string describe_single(const Key& key) {
  std::string words = fmt::format("{}", fmt::join(key.words, " | "));
  if (key.type == FieldType::choice && key.choices.empty()) return words;
  if (!words.empty()) words += " | ";
  switch (key.type) {
    case FieldType::boolean:
      return words + "true | false";
    case FieldType::integer:
      return words + "integer" + range_text(key);
    case FieldType::real:
      return words + "number" + range_text(key);
    case FieldType::text:
      return words + "text";
    case FieldType::choice:
      return words + fmt::format("{}", fmt::join(key.choices, " | "));
    case FieldType::real_list: {
      const auto* list = std::get_if<std::vector<double>>(&key.default_value);
      return words +
             (list == nullptr ? "list of numbers"
                              : fmt::format("list of {} numbers", list->size())) +
             range_text(key);
    }
    case FieldType::integer_list:
      return words + "list of integers" + range_text(key);
    case FieldType::duration:
      return words + "duration (8s, 10m, 1h30m)";
    case FieldType::path:
      return words + "path, relative to the file that names it";
    case FieldType::run_path:
      return words + "path, relative to the working directory";
  }
  return words;
}

}  // namespace

std::string describe_values(const Key& key) {
  return describe_single(key) + (key.also.empty() ? "" : " | " + key.also);
}

std::string format_key_value(const Key& key, const FieldValue& value) {
  if (key.type == FieldType::duration && std::holds_alternative<int64_t>(value)) {
    return format_duration(std::get<int64_t>(value));
  }
  if (key.type == FieldType::integer_list && std::holds_alternative<std::vector<double>>(value)) {
    std::string list = "[";
    for (const double item : std::get<std::vector<double>>(value)) {
      if (list.size() > 1) list += ", ";
      list += format_integer(static_cast<int64_t>(item));
    }
    return list + "]";
  }
  return format_value(value);
}

}  // namespace troupe
