#include "launch/config/help.h"

#include <fmt/core.h>
#include <fmt/format.h>

#include <algorithm>

#include "core/base/error.h"
#include "launch/config/nearest.h"
#include "launch/config/schema.h"

namespace troupe {
namespace {

std::string default_text(const Key& key) {
  if (key.required) return "none: must be given";
  if (!key.has_default) return "none";
  return format_key_value(key, key.default_value);
}

std::string sentence(std::string text) {
  if (!text.empty() && text.back() != '.') text += '.';
  if (!text.empty() && text[0] >= 'a' && text[0] <= 'z' && text.find(' ') != std::string::npos &&
      text.rfind("none =", 0) != 0 && text.rfind("auto =", 0) != 0) {
    text[0] = static_cast<char>(text[0] - 32);
  }
  return text;
}

std::string explain(const Key& key) {
  std::string text = key.path;
  if (!key.variant.empty()) text += fmt::format("   (read by {} {})", key.variant_key, key.variant);
  text += "\n  " + sentence(key.help) + "\n";
  text += fmt::format("  values:    {}{}\n", describe_values(key),
                      key.unit.empty() ? "" : fmt::format(" [{}]", key.unit));
  if (key.type == FieldType::path || key.type == FieldType::run_path) {
    text +=
        "  variables: $NAME, ${NAME} and ~/ are put in, on rank 0; stored configurations keep the "
        "result\n";
  }
  text += fmt::format("  default:   {}\n", default_text(key));
  text += fmt::format("  on resume: {}\n", key.on_resume == OnResume::may_change
                                               ? "may change"
                                               : "must not change (unless --force)");
  return text;
}

// One line of a section's list: a key, with the types that read it.
std::string row(const Key& key, const std::string& types) {
  const std::string name = key.path + (types.empty() ? "" : " (" + types + ")");
  return fmt::format("  {:<38} {}; default {}\n", name, describe_values(key), default_text(key));
}

void rows(const SchemaNode& node, std::string& out) {
  for (size_t i = 0; i < node.keys.size(); ++i) {
    const Key& key = node.keys[i];
    const auto same = [&](const Key& other) {
      return describe_values(other) == describe_values(key) &&
             default_text(other) == default_text(key);
    };
    if (std::any_of(node.keys.begin(), node.keys.begin() + static_cast<std::ptrdiff_t>(i), same)) {
      continue;
    }
    std::string types = key.variant;
    for (size_t j = i + 1; j < node.keys.size(); ++j) {
      if (same(node.keys[j])) types += ", " + node.keys[j].variant;
    }
    out += row(key, types);
  }
  for (const SchemaNode& child : node.children) rows(child, out);
  for (const SchemaNode& child : node.elements) {
    if (child.path.rfind("moe.router[]", 0) == 0 && child.name != "layers") continue;
    rows(child, out);
  }
}

std::string explain(const SchemaNode& node) {
  std::string text;
  for (const Key& key : node.keys) text += explain(key);
  if (node.children.empty() && node.elements.empty()) return text;
  if (!node.help.empty()) {
    text += (node.keys.empty() ? node.path + "\n  " : "  ") + node.help + "\n";
  }
  for (const SchemaNode& child : node.children) rows(child, text);
  for (const SchemaNode& child : node.elements) {
    if (child.path.rfind("moe.router[]", 0) == 0 && child.name != "layers") continue;
    rows(child, text);
  }
  return text;
}

std::string last_part(const std::string& path) { return path.substr(path.rfind('.') + 1); }

}  // namespace

std::string explain_key(const std::string& key) {
  if (const SchemaNode* node = find_schema(key); node != nullptr && !key.empty()) {
    return explain(*node);
  }
  std::string text;
  std::vector<std::string> names;
  for (const std::string& path : schema_paths()) {
    for (size_t dot = path.find('.'); dot != std::string::npos; dot = path.find('.', dot + 1)) {
      names.push_back(path.substr(0, dot));
    }
    names.push_back(path);
    names.push_back(last_part(path));
    const bool repeated = path.rfind("moe.router[]", 0) == 0 && last_part(path) != "layers";
    if (last_part(path) == key && !repeated) text += explain(*find_schema(path));
  }
  if (!text.empty()) return text;
  for (const SchemaNode& section : schema().children) names.push_back(section.name);
  const std::string near = nearest(key, names);
  std::string sections;
  for (const SchemaNode& section : schema().children) {
    sections += (sections.empty() ? "" : ", ") + section.name;
  }
  fail(ExitCode::usage, "no key or section '{}'; {}", key,
       near.empty() ? "sections: " + sections : "did you mean " + near + "?");
}

std::string explain_sections() {
  std::string text;
  for (const SchemaNode& section : schema().children) {
    if (section.children.empty()) continue;
    text += fmt::format("  {:<12} {}\n", section.name, section.help);
  }
  return text;
}

}  // namespace troupe
