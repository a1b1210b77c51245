#include "launch/config/scalar.h"

#include <fmt/core.h>

#include <array>
#include <charconv>
#include <cmath>

#include "core/text/byte_escape.h"

namespace troupe {
namespace {

bool digit(char c) { return c >= '0' && c <= '9'; }

// Removes underscores that stand between digits; false when one stands elsewhere.
bool strip_underscores(std::string_view text, std::string& out) {
  out.clear();
  for (size_t i = 0; i < text.size(); ++i) {
    if (text[i] != '_') {
      out += text[i];
      continue;
    }
    if (i == 0 || i + 1 == text.size() || !digit(text[i - 1]) || !digit(text[i + 1])) return false;
  }
  return true;
}

struct Suffix {
  const char* text;
  double factor;
};
constexpr std::array<Suffix, 6> kSuffixes{{{"Ki", 1024.0},
                                           {"Mi", 1024.0 * 1024},
                                           {"Gi", 1024.0 * 1024 * 1024},
                                           {"k", 1e3},
                                           {"M", 1e6},
                                           {"G", 1e9}}};

// Plain decimal number syntax: sign, digits, fraction, exponent. Says what else it is.
std::string decimal_problem(std::string_view text) {
  size_t i = 0;
  if (i < text.size() && (text[i] == '-' || text[i] == '+')) ++i;
  const size_t whole = i;
  while (i < text.size() && digit(text[i])) ++i;
  const size_t whole_digits = i - whole;
  if (whole_digits > 1 && text[whole] == '0') {
    return "a number with a leading zero is ambiguous (octal); write it without";
  }
  size_t fraction_digits = 0;
  if (i < text.size() && text[i] == '.') {
    ++i;
    const size_t fraction = i;
    while (i < text.size() && digit(text[i])) ++i;
    fraction_digits = i - fraction;
  }
  if (whole_digits + fraction_digits == 0) return "not a number";
  if (i < text.size() && (text[i] == 'e' || text[i] == 'E')) {
    ++i;
    if (i < text.size() && (text[i] == '-' || text[i] == '+')) ++i;
    const size_t exponent = i;
    while (i < text.size() && digit(text[i])) ++i;
    if (i == exponent) return "not a number (its exponent has no digits)";
  }
  if (i != text.size()) return "not a number";
  return {};
}

bool non_finite_word(std::string_view text) {
  if (!text.empty() && (text[0] == '-' || text[0] == '+')) text.remove_prefix(1);
  if (!text.empty() && text[0] == '.') text.remove_prefix(1);
  std::string lower;
  for (const char c : text) lower += static_cast<char>(c >= 'A' && c <= 'Z' ? c + 32 : c);
  return lower == "inf" || lower == "nan" || lower == "infinity";
}

Scalar<double> decimal(std::string_view text) {
  if (non_finite_word(text)) return "infinities and NaN are refused; write a finite number";
  if (std::string problem = decimal_problem(text); !problem.empty()) return problem;
  if (text[0] == '+') text.remove_prefix(1);
  double value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error == std::errc::result_out_of_range || !std::isfinite(value)) {
    return "out of the range of a 64-bit real number";
  }
  if (error != std::errc() || end != text.data() + text.size()) return "not a number";
  return value;
}

}  // namespace

Scalar<int64_t> parse_integer(std::string_view text) {
  std::string digits;
  if (!strip_underscores(text, digits)) return "not a number (an underscore stands alone)";
  double factor = 1;
  for (const Suffix& suffix : kSuffixes) {
    const std::string_view end(suffix.text);
    if (digits.size() > end.size() && std::string_view(digits).ends_with(end)) {
      factor = suffix.factor;
      digits.resize(digits.size() - end.size());
      break;
    }
  }
  const bool plain =
      digits.find_first_not_of("0123456789", digits[0] == '-' ? 1 : 0) == std::string::npos;
  const Scalar<double> real = decimal(digits);
  if (const auto* problem = std::get_if<std::string>(&real)) return *problem;
  if (plain && factor == 1) {  // exact, also above 2^53
    int64_t value = 0;
    const auto result = std::from_chars(digits.data(), digits.data() + digits.size(), value);
    if (result.ec != std::errc()) return "out of the range of a 64-bit integer";
    return value;
  }
  const double value = std::get<double>(real) * factor;
  if (std::abs(value) > 9007199254740992.0) return "out of the range of a 64-bit integer";
  if (value != std::floor(value)) {
    return fmt::format("not a whole number; nearest legal value: {}",
                       static_cast<int64_t>(std::llround(value)));
  }
  return static_cast<int64_t>(value);
}

Scalar<double> parse_real(std::string_view text) {
  std::string digits;
  if (!strip_underscores(text, digits)) return "not a number (an underscore stands alone)";
  return decimal(digits);
}

Scalar<int64_t> parse_duration(std::string_view text) {
  struct Unit {
    std::string_view name;
    double milliseconds;
  };
  constexpr std::array<Unit, 5> units{
      {{"ms", 1}, {"s", 1e3}, {"m", 60e3}, {"h", 3600e3}, {"d", 86400e3}}};
  double total = 0;
  size_t i = 0;
  while (i < text.size()) {
    const size_t start = i;
    while (i < text.size() && (digit(text[i]) || text[i] == '.' || text[i] == '_')) ++i;
    const Scalar<double> number = parse_real(text.substr(start, i - start));
    if (!std::holds_alternative<double>(number)) {
      return "not a duration; write a number with a unit: 8s, 10m or 1h30m";
    }
    const size_t unit_start = i;
    while (i < text.size() && text[i] >= 'a' && text[i] <= 'z') ++i;
    const std::string_view unit = text.substr(unit_start, i - unit_start);
    const Unit* found = nullptr;
    for (const Unit& candidate : units) {
      if (candidate.name == unit) found = &candidate;
    }
    if (found == nullptr) {
      const bool number_alone = unit.empty() && start == 0 && i == text.size();
      return number_alone ? fmt::format("a duration needs a unit (ms, s, m, h, d); write {}s",
                                        text.substr(0, 20))
                          : std::string(
                                "not a duration; write a number with a unit (ms, s, m, h, "
                                "d) right behind it: 8s, 10m or 1h30m");
    }
    total += std::get<double>(number) * found->milliseconds;
  }
  if (!(total >= 1)) return "a duration must be at least 1ms; nearest legal value: 1ms";
  if (total > 3.15e12) return "longer than a hundred years; nearest legal value: 36000d";
  return static_cast<int64_t>(std::llround(total));
}

std::string format_integer(int64_t value) { return fmt::format("{}", value); }

std::string format_real(double value) {
  std::string text = fmt::format("{}", value);
  if (text.find('.') != std::string::npos || text.find('n') != std::string::npos) return text;
  // YAML 1.1 readers take a number without a point for a text or an integer.
  const size_t exponent = text.find('e');
  if (exponent == std::string::npos) return text + ".0";
  return text.substr(0, exponent) + ".0" + text.substr(exponent);
}

std::string format_computed(double value, double other) {
  const auto rounded = [](double x, int digits) {
    return format_real(std::stod(fmt::format("{:.{}g}", x, digits)));
  };
  for (int digits = 6; digits < 17; ++digits) {
    const std::string text = rounded(value, digits);
    if (value == other || text != rounded(other, digits)) return text;
  }
  return format_real(value);
}

std::string format_duration(int64_t milliseconds) {
  if (milliseconds % 3600000 == 0) return fmt::format("{}h", milliseconds / 3600000);
  if (milliseconds % 60000 == 0) return fmt::format("{}m", milliseconds / 60000);
  if (milliseconds % 1000 == 0) return fmt::format("{}s", milliseconds / 1000);
  return fmt::format("{}ms", milliseconds);
}

std::string format_text(const std::string& bytes) {
  const std::string text = escape_bytes(bytes);
  const bool plain = !text.empty() &&
                     text.find_first_not_of(
                         "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
                         "0123456789_-./") == std::string::npos &&
                     (text[0] < '0' || text[0] > '9') && text[0] != '-' && text[0] != '.' &&
                     text != "true" && text != "false" && text != "null" && text != "Null" &&
                     text != "NULL";
  const bool relative = text.rfind("./", 0) == 0 || text.rfind("../", 0) == 0;
  const bool simple = text.find_first_of(" :#'\"\\,[]{}&*!|>%@`") == std::string::npos;
  if (plain || (relative && simple && text.size() > 3)) return text;
  std::string quoted = "\"";
  for (const char c : text) {
    if (c == '"' || c == '\\') quoted += '\\';
    quoted += c;
  }
  return quoted + "\"";
}

std::string format_value(const FieldValue& value) {
  if (const auto* flag = std::get_if<bool>(&value)) return *flag ? "true" : "false";
  if (const auto* integer = std::get_if<int64_t>(&value)) return format_integer(*integer);
  if (const auto* real = std::get_if<double>(&value)) return format_real(*real);
  if (const auto* text = std::get_if<std::string>(&value)) return format_text(*text);
  std::string list = "[";
  for (const double item : std::get<std::vector<double>>(value)) {
    if (list.size() > 1) list += ", ";
    list += format_real(item);
  }
  return list + "]";
}

}  // namespace troupe
