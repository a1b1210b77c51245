#include "launch/config/override.h"

#include <fmt/core.h>

#include <algorithm>
#include <cstring>
#include <string_view>
#include <utility>

#include "launch/config/schema.h"

namespace troupe {
namespace {

// "moe.router[0].top_k" -> moe, router, [0], top_k.
std::vector<std::string> key_parts(const std::string& key) {
  std::vector<std::string> parts{""};
  for (const char c : key) {
    if (c == '.') {
      parts.emplace_back();
    } else if (c == '[') {
      parts.emplace_back("[");
    } else {
      parts.back() += c;
    }
  }
  return parts;
}

// A section given as a whole stands on the command line, not where the file had it.
void place_member(YamlNode& parent, const YamlNode* member, const SourceLocation& place) {
  for (size_t i = 0; i < parent.keys.size(); ++i) {
    if (&parent.items[i] == member) parent.key_places[i] = place;
  }
}

// The member or element of `node` named by one part of an override's key; made when absent. Null
// when a list has no such element.
YamlNode* step_into(YamlNode& node, const std::string& part) {
  const SourceLocation place{Source::command_line, 0, 0};
  const bool index = part[0] == '[';
  if (node.is_sequence() != index) return nullptr;
  if (index) {
    const std::string digits = part.substr(1, part.size() - 2);
    const bool number = part.back() == ']' && !digits.empty() && digits.size() < 7 &&
                        digits.find_first_not_of("0123456789") == std::string::npos;
    if (!number) return nullptr;
    const size_t at = std::stoul(digits);
    return at < node.items.size() ? &node.items[at] : nullptr;
  }
  if (!node.is_mapping()) {  // `moe: none` in the file, moe.experts=8 on the command line
    node = YamlNode{};
    node.kind = YamlNode::Kind::mapping;
    node.place = place;
  }
  if (YamlNode* found = node.find(part)) return found;
  node.keys.push_back(part);
  node.key_places.push_back(place);
  YamlNode member;
  member.place = place;
  node.items.push_back(std::move(member));
  return &node.items.back();
}

// Like a list, a mapping, a quoted text or a tag.
bool begins_yaml(const std::string& text) {
  return !text.empty() && std::string_view("[{\"'!").find(text.front()) != std::string_view::npos;
}

// Whether YAML would end the value at a comment: a '#' behind a blank and outside of quotes.
bool has_comment(const std::string& text) {
  const auto blank = [](char c) { return c == ' ' || c == '\t' || c == '\n' || c == '\r'; };
  char quote = 0;
  char before = '[';  // the last character that is no blank
  for (size_t i = 0; i < text.size(); ++i) {
    const char c = text[i];
    if (quote != 0) {
      if (quote == '"' && c == '\\') ++i;
      if (c == quote) quote = 0;  // '' inside single quotes: closed and opened again
      if (quote == 0) before = '\'';
      continue;
    }
    if (c == '#' && i > 0 && blank(text[i - 1])) return true;
    // A quote begins a text where a value begins; else it is an apostrophe.
    const bool doubled = c == '\'' && i > 0 && text[i - 1] == '\'';
    if ((c == '"' || c == '\'') && (doubled || std::strchr("[{,:!", before) != nullptr)) quote = c;
    if (!blank(c)) before = c;
  }
  return false;
}

// The place of the quote that closes the text which begins with one, or npos.
size_t closing_quote(const std::string& text) {
  const char quote = text.front();
  for (size_t i = 1; i < text.size(); ++i) {
    if (quote == '"' && text[i] == '\\') {
      ++i;
    } else if (text[i] == quote) {
      if (quote == '"' || i + 1 == text.size() || text[i + 1] != quote) return i;
      ++i;  // '' stands for one inside
    }
  }
  return std::string::npos;
}

// The text in quotes of YAML.
std::string in_quotes(const std::string& text) {
  if (text.find_first_of("\"\\") == std::string::npos) return '"' + text + '"';
  std::string out = "'";
  for (const char c : text) out += c == '\'' ? std::string("''") : std::string(1, c);
  return out + "'";
}

// Of a value that begins with a quote and is no text in quotes.
void explain_quotes(const std::string& text, Problem& problem) {
  const size_t close = closing_quote(text);
  if (close != std::string::npos && close + 1 == text.size()) return;  // then it is what is inside
  problem.rule = close == std::string::npos
                     ? fmt::format("the quote {} at its beginning is not closed", text.front())
                     : fmt::format("{} stands behind the closing quote", text.substr(close + 1));
  problem.fix = fmt::format("write {} if the quotes belong to the value, else leave them out",
                            in_quotes(text));
}

// What stands behind the '='. Only what begins like a list, a mapping, a quoted text or a tag is
// read as YAML; anything else is the text itself, to the last character. A section may be null.
YamlNode value_of(const std::string& key, const std::string& text) {
  const SourceLocation place{Source::command_line, 0, 0};
  YamlNode value;
  if (!begins_yaml(text)) {
    check_utf8(text, Source::command_line);
    const SchemaNode* section = find_schema(key);
    const bool nothing =
        section != nullptr && section->keys.empty() && (text == "null" || text == "~");
    value.kind = nothing ? YamlNode::Kind::null : YamlNode::Kind::scalar;
    value.text = text;
  } else {
    value = parse_yaml(text, Source::command_line);
  }
  value.place = place;
  return value;
}

}  // namespace

void apply_override(YamlNode& root, const std::string& assignment, std::vector<Problem>& problems,
                    std::vector<std::string>& seen) {
  const SourceLocation place{Source::command_line, 0, 0};
  const size_t equals = assignment.find('=');
  const std::string key = assignment.substr(0, equals);
  if (equals == std::string::npos || key.empty()) {
    problems.push_back(Problem{place, "", "", fmt::format("'{}' is not KEY=VALUE", assignment),
                               "write a dotted key, '=' and its value: train.steps=100"});
    return;
  }
  const std::string text = assignment.substr(equals + 1);
  if (std::find(seen.begin(), seen.end(), key) != seen.end()) {
    problems.push_back(
        Problem{place, key, text, "is given twice on the command line", "remove one of them"});
    return;
  }
  seen.push_back(key);
  if (begins_yaml(text) && has_comment(text)) {
    problems.push_back(Problem{place, key, text, "a '#' behind a blank begins no comment here",
                               "put what holds it in quotes: '[\"a #1\", \"b\"]'"});
    return;
  }
  YamlNode value;
  try {
    value = value_of(key, text);
  } catch (const YamlError& error) {
    Problem problem = error.problem();
    problem.key = key;
    problem.value = text;
    for (const auto& [open, close] : {std::pair('[', ']'), std::pair('{', '}')}) {
      if (text.front() == open && text.back() != close) {
        problem.rule = fmt::format("the '{}' of the value is not closed", open);
        problem.fix = "quote the whole word for the shell: 'optimizer.betas=[0.9, 0.95]'";
      }
    }
    if (text.front() == '"' || text.front() == '\'') explain_quotes(text, problem);
    problems.push_back(std::move(problem));
    return;
  }
  const std::vector<std::string> parts = key_parts(key);
  YamlNode before = root;  // put back when the key leads nowhere
  YamlNode* node = &root;
  for (size_t i = 0; i < parts.size(); ++i) {
    YamlNode* next = parts[i].empty() || i >= static_cast<size_t>(kMaxYamlDepth)
                         ? nullptr
                         : step_into(*node, parts[i]);
    if (next == nullptr) {
      const std::string fix =
          node->is_sequence() && !node->items.empty()
              ? fmt::format(
                    "the list has {} elements; name one by [0] to [{}], or give the whole "
                    "list",
                    node->items.size(), node->items.size() - 1)
          : parts[i][0] == '[' ? std::string("there is no list at this place; give the whole list")
                               : std::string("write a dotted key such as train.steps");
      problems.push_back(Problem{place, key, text, "names no place of this configuration", fix});
      root = std::move(before);
      return;
    }
    if (i + 1 == parts.size()) place_member(*node, next, place);
    node = next;
  }
  *node = std::move(value);
}

}  // namespace troupe
