#include "core/text/json_repair.h"

#include <algorithm>
#include <cstdint>
#include <optional>

#include "core/text/utf8.h"

namespace troupe {
namespace {

// Marks are U+10FE00 (half a surrogate pair) and U+10FF00 + byte, the end of a private-use plane:
// in UTF-8 F4 8F B8 80 and F4 8F BC 80 to F4 8F BF BF.
constexpr std::string_view kMarkBegin = "\xF4\x8F";
constexpr std::string_view kHalf = "\xF4\x8F\xB8\x80";

std::string mark_of(uint8_t byte) {
  std::string mark(kMarkBegin);
  mark += static_cast<char>(0xBC + (byte >> 6));
  mark += static_cast<char>(0x80 + (byte & 0x3F));
  return mark;
}

// The number of a \uXXXX escape at the front.
std::optional<unsigned> escape_at(std::string_view text) {
  if (text.size() < 6 || text[0] != '\\' || text[1] != 'u') return std::nullopt;
  unsigned value = 0;
  for (const char c : text.substr(2, 4)) {
    const char low = static_cast<char>(c | 0x20);
    if (c >= '0' && c <= '9') {
      value = value * 16 + static_cast<unsigned>(c - '0');
    } else if (low >= 'a' && low <= 'f') {
      value = value * 16 + static_cast<unsigned>(low - 'a' + 10);
    } else {
      return std::nullopt;
    }
  }
  return value;
}

// As bytes, or as the escapes of its surrogates.
bool has_marks(std::string_view line) {
  if (line.find(kMarkBegin) != std::string_view::npos) return true;
  for (size_t at = line.find("\\u"); at != std::string_view::npos; at = line.find("\\u", at + 2)) {
    if (escape_at(line.substr(at)) != 0xDBFFU || line.size() < at + 6) continue;
    const std::optional<unsigned> next = escape_at(line.substr(at + 6));
    if (next == 0xDE00U || (next && *next >= 0xDF00 && *next <= 0xDFFF)) return true;
  }
  return false;
}

class Repair {
 public:
  explicit Repair(std::string_view line) : rest_(line) {}

  RepairedJson run() {
    while (!rest_.empty()) {
      if (!inside_) {
        outside();
      } else if (rest_[0] == '\\') {
        escape();
      } else {
        plain();
      }
    }
    return std::move(out_);
  }

 private:
  void copy(size_t count) {
    out_.line += rest_.substr(0, count);
    rest_.remove_prefix(std::min(count, rest_.size()));
  }
  void change(std::string_view into, size_t count) {
    out_.line += into;
    out_.changed = true;
    rest_.remove_prefix(count);
  }

  void outside() {
    const char before = out_.line.empty() ? ' ' : out_.line.back();
    const bool begins = std::string_view(" \t\r\n:,[").find(before) != std::string_view::npos;
    for (const std::string_view word : {"NaN", "Infinity", "-Infinity"}) {
      if (begins && rest_.starts_with(word)) return change("0", word.size());
    }
    if (begins && std::string_view("-0123456789").find(rest_[0]) != std::string_view::npos)
      return number();
    inside_ = rest_[0] == '"';
    copy(1);
  }

  // Of any size that the standard allows; the result is a double's, and is well formed where the
  // number is: digits of the exponent become 0, runs of digits stay below 1e300.
  void number() {
    constexpr size_t kMostDigits = 300;
    const size_t length = std::min(rest_.find_first_not_of("+-.0123456789eE"), rest_.size());
    std::string small;
    bool exponent = false;
    size_t digits = 0;
    for (const char c : rest_.substr(0, length)) {
      const bool digit = c >= '0' && c <= '9';
      exponent = exponent || c == 'e' || c == 'E';
      digits = digit ? digits + 1 : 0;
      if (digits <= kMostDigits) small += digit && exponent ? '0' : c;
    }
    if (small == rest_.substr(0, length)) return copy(length);
    change(small, length);
  }

  void escape() {
    const std::optional<unsigned> value = escape_at(rest_);
    if (!value || *value < 0xD800 || *value > 0xDFFF) return copy(2);
    const std::optional<unsigned> next = escape_at(rest_.substr(6));
    if (*value < 0xDC00 && next && *next >= 0xDC00 && *next <= 0xDFFF) return copy(12);
    change(kHalf, 6);
  }

  void plain() {
    const Utf8Step step = utf8_step(rest_);
    if (step.valid) {
      inside_ = rest_[0] != '"';
      return copy(step.length);
    }
    std::string marks;
    for (const char c : rest_.substr(0, step.length)) marks += mark_of(static_cast<uint8_t>(c));
    change(marks, step.length);
  }

  std::string_view rest_;
  RepairedJson out_;
  bool inside_ = false;  // a text
};

}  // namespace

RepairedJson repair_json(std::string_view line) {
  if (has_marks(line)) return {std::string(line), false};
  return Repair(line).run();
}

RestoredText restore_text(std::string_view text) {
  RestoredText out;
  while (!text.empty()) {
    const size_t plain = std::min(text.find(kMarkBegin), text.size());
    out.text += text.substr(0, plain);
    text.remove_prefix(plain);
    if (text.size() < 4) {
      out.text += text;
      break;
    }
    const auto third = static_cast<uint8_t>(text[2]);
    const auto fourth = static_cast<uint8_t>(text[3]);
    if (text.starts_with(kHalf)) {
      out.text += "\xEF\xBF\xBD";
      out.halves = true;
    } else {
      out.text += static_cast<char>((third - 0xBC) * 64 + (fourth - 0x80));
      out.bytes = true;
    }
    text.remove_prefix(4);
  }
  return out;
}

}  // namespace troupe
