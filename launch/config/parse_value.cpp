#include "launch/config/parse_value.h"

#include <fmt/core.h>
#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>

#include "core/text/byte_escape.h"
#include "launch/config/nearest.h"
#include "launch/config/scalar.h"

namespace troupe {
namespace {

void wrong(Problem& problem, std::string rule, std::string fix = {}) {
  problem.rule = std::move(rule);
  problem.fix = std::move(fix);
}

// Splits "why; how to write it".
void wrong_scalar(Problem& problem, const std::string& text, const Key& key) {
  const size_t cut = text.find("; ");
  problem.rule = fmt::format("{} (expected: {})", text.substr(0, cut), describe_values(key));
  problem.fix = cut == std::string::npos ? std::string() : text.substr(cut + 2);
}

// Checks the range; says the nearest legal value.
bool in_range(const Key& key, double value, Problem& problem) {
  const bool whole = key.type == FieldType::integer || key.type == FieldType::integer_list;
  const auto number = [&](double x) {
    return whole ? format_integer(static_cast<int64_t>(x)) : format_real(x);
  };
  if (value > key.maximum) {
    wrong(problem, fmt::format("must be {}", describe_values(key)),
          "nearest legal value: " + number(key.maximum));
    return false;
  }
  if (value < key.minimum) {
    wrong(problem, fmt::format("must be {}", describe_values(key)),
          key.exclusive_minimum ? fmt::format("write a value above {}", number(key.minimum))
                                : "nearest legal value: " + number(key.minimum));
    return false;
  }
  if (key.exclusive_minimum && value == key.minimum) {
    wrong(problem, fmt::format("must be {}", describe_values(key)),
          fmt::format("write a value above {}", number(key.minimum)));
    return false;
  }
  return true;
}

std::optional<FieldValue> parse_boolean(const YamlNode& node, const Key& key, Problem& problem) {
  if (!node.quoted && node.text == "true") return FieldValue(true);
  if (!node.quoted && node.text == "false") return FieldValue(false);
  std::string lower = node.text;
  std::transform(lower.begin(), lower.end(), lower.begin(), [](unsigned char c) {
    return static_cast<char>(c >= 'A' && c <= 'Z' ? c + 32 : c);
  });
  constexpr std::array yes{"true", "yes", "on", "y", "1"};
  constexpr std::array no{"false", "no", "off", "n", "0"};
  std::string fix;
  if (std::find(yes.begin(), yes.end(), lower) != yes.end()) fix = "write true";
  if (std::find(no.begin(), no.end(), lower) != no.end()) fix = "write false";
  wrong(problem, "must be " + describe_values(key), fix);
  return std::nullopt;
}

std::optional<FieldValue> parse_choice(const YamlNode& node, const Key& key, Problem& problem) {
  for (const std::string& choice : key.choices) {
    if (choice == node.text) return FieldValue(choice);
  }
  std::vector<std::string> all = key.words;
  all.insert(all.end(), key.choices.begin(), key.choices.end());
  const std::string near = nearest(node.text, all);
  wrong(problem, "must be " + describe_values(key),
        near.empty() ? near : "did you mean " + near + "?");
  return std::nullopt;
}

std::optional<FieldValue> parse_list(const YamlNode& node, const Key& key, Problem& problem) {
  if (!node.is_sequence()) {
    wrong(problem, "must be a " + describe_values(key), "write [a, b]");
    return std::nullopt;
  }
  std::vector<double> values;
  for (const YamlNode& item : node.items) {
    problem.value = brief(item);
    problem.place = item.place;
    if (!item.is_scalar() || item.quoted) {
      wrong(problem, "an element is not a number");
      return std::nullopt;
    }
    double value = 0;
    if (key.type == FieldType::integer_list) {
      const Scalar<int64_t> parsed = parse_integer(item.text);
      if (const auto* text = std::get_if<std::string>(&parsed)) {
        wrong_scalar(problem, *text, key);
        return std::nullopt;
      }
      value = static_cast<double>(std::get<int64_t>(parsed));
    } else {
      const Scalar<double> parsed = parse_real(item.text);
      if (const auto* text = std::get_if<std::string>(&parsed)) {
        wrong_scalar(problem, *text, key);
        return std::nullopt;
      }
      value = std::get<double>(parsed);
    }
    if (!in_range(key, value, problem)) return std::nullopt;
    values.push_back(value);
  }
  problem.value = brief(node);
  problem.place = node.place;
  const auto* like = std::get_if<std::vector<double>>(&key.default_value);
  if (key.type == FieldType::real_list && like != nullptr && like->size() != values.size()) {
    wrong(problem, fmt::format("needs {} numbers, has {}", like->size(), values.size()),
          "default: " + format_key_value(key, key.default_value));
    return std::nullopt;
  }
  return FieldValue(std::move(values));
}

// What to write instead of a text that is no number of this kind.
std::string number_fix(const std::string& text, const Key& key, const std::string& why) {
  const bool whole = key.type == FieldType::integer;
  if (why.rfind("out of the range", 0) == 0) {
    const bool small = text[0] == '-' || text.find("e-") != std::string::npos;
    if (small && key.exclusive_minimum) return "write a value above " + format_real(key.minimum);
    const double nearest = small ? key.minimum : key.maximum;
    if (!whole) return "nearest legal value: " + format_real(nearest);
    if (std::abs(nearest) < 9007199254740992.0) {
      return "nearest legal value: " + format_integer(static_cast<int64_t>(nearest));
    }
    return "nearest legal value: " + format_integer(small ? INT64_MIN : INT64_MAX);
  }
  if (whole && text.size() > 2 && text.size() < 12 && (text.rfind("0x", 0) == 0) &&
      text.find_first_not_of("0123456789abcdefABCDEF", 2) == std::string::npos) {
    return "write " + format_integer(std::stoll(text.substr(2), nullptr, 16));
  }
  return {};
}

template <typename T>
std::optional<FieldValue> number(const Scalar<T>& parsed, const YamlNode& node, const Key& key,
                                 Problem& problem) {
  if (const auto* text = std::get_if<std::string>(&parsed)) {
    wrong_scalar(problem, *text, key);
    const std::string near = nearest(node.text, key.words);
    if (problem.fix.empty() && !near.empty()) problem.fix = "did you mean " + near + "?";
    if (problem.fix.empty()) problem.fix = number_fix(node.text, key, *text);
    return std::nullopt;
  }
  const T value = std::get<T>(parsed);
  if (!in_range(key, static_cast<double>(value), problem)) return std::nullopt;
  return FieldValue(value);
}

std::optional<FieldValue> parse_text(const YamlNode& node, const Key& key, Problem& problem) {
  if (node.text.empty()) {
    wrong(problem, "must not be empty");
    return std::nullopt;
  }
  std::optional<std::string> bytes = unescape_bytes(node.text);
  if (!bytes || bytes->empty() || bytes->find('\0') != std::string::npos) {
    wrong(problem, "begins with bytes: and goes on with what is none",
          "write a byte as % and two hexadecimal digits, % itself as %25");
    return std::nullopt;
  }
  const bool control = std::any_of(node.text.begin(), node.text.end(), [&](unsigned char c) {
    const bool blank = c == '\n' || c == '\r' || c == '\t';
    return !(blank && key.line_breaks) && (c < 0x20 || c == 0x7f);
  });
  if (control || bytes->size() > kLongestText) {
    wrong(problem, control ? std::string("contains a control character")
                           : fmt::format("is longer than {} bytes", kLongestText));
    return std::nullopt;
  }
  return FieldValue(*std::move(bytes));
}

}  // namespace

namespace {

bool textual(const Key& key) {
  return key.type == FieldType::text || key.type == FieldType::path ||
         key.type == FieldType::run_path;
}

// Without the blanks around it, which the command line leaves there.
std::string trimmed(const std::string& text) {
  const size_t begin = text.find_first_not_of(' ');
  if (begin == std::string::npos) return {};
  return text.substr(begin, text.find_last_not_of(' ') - begin + 1);
}

}  // namespace

std::optional<FieldValue> parse_value(const Key& key, const YamlNode& given, Problem& problem) {
  YamlNode node = given;
  if (node.is_scalar() && !node.quoted && !textual(key)) {
    node.text = trimmed(node.text);
    if (node.text.empty()) node.kind = YamlNode::Kind::null;
  }
  problem.place = node.place;
  problem.value = node.is_null() ? "" : brief(node);
  if (!node.tag.empty()) {
    wrong(problem, "tags (" + node.tag + ") are not accepted", "write the plain value");
    return std::nullopt;
  }
  if (node.is_null()) {
    wrong(problem, fmt::format("has no value (expected: {})", describe_values(key)),
          key.has_default ? "default: " + format_key_value(key, key.default_value) : "");
    return std::nullopt;
  }
  if (node.is_scalar()) {  // in quotes, too: what is written as JSON has them
    for (const std::string& word : key.words) {
      if (node.text == word) return FieldValue(word);
    }
  }
  if (key.type == FieldType::real_list || key.type == FieldType::integer_list) {
    return parse_list(node, key, problem);
  }
  if (!node.is_scalar()) {
    wrong(problem, fmt::format("must be {}, not a {}", describe_values(key),
                               node.is_mapping() ? "mapping" : "list"));
    return std::nullopt;
  }
  const bool may_be_quoted =
      textual(key) || key.type == FieldType::choice || key.type == FieldType::duration;
  if (node.quoted && !may_be_quoted) {
    wrong(problem, fmt::format("must be {}, not a text", describe_values(key)),
          "remove the quotes");
    return std::nullopt;
  }
  switch (key.type) {
    case FieldType::boolean:
      return parse_boolean(node, key, problem);
    case FieldType::integer:
      return number(parse_integer(node.text), node, key, problem);
    case FieldType::real:
      return number(parse_real(node.text), node, key, problem);
    case FieldType::duration:
      return number(parse_duration(node.text), node, key, problem);
    case FieldType::choice:
      return parse_choice(node, key, problem);
    default:
      return parse_text(node, key, problem);
  }
}

}  // namespace troupe
