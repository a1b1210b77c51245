#include "tests/support/mutate_text.h"

#include <algorithm>
#include <array>

namespace troupe::test {
namespace {

size_t below(std::mt19937_64& random, size_t end) { return end == 0 ? 0 : random() % end; }

// Where a run of digits begins, from `at` on; npos without one.
size_t number_from(const std::string& text, size_t at) {
  return text.find_first_of("0123456789", at);
}

void replace_number(std::string& text, std::mt19937_64& random) {
  static const std::array<const char*, 12> kNumbers = {
      "0",   "-1",         "1",   "9223372036854775807",  "9223372036854775808",
      "1e9", "4294967296", "1.5", "18446744073709551616", "1e400",
      "7",   "2147483648"};
  const size_t begin = number_from(text, below(random, text.size()));
  if (begin == std::string::npos) return;
  const size_t end = text.find_first_not_of("0123456789.", begin);
  text.replace(begin, std::min(end, text.size()) - begin, kNumbers[below(random, kNumbers.size())]);
}

void insert_token(std::string& text, std::mt19937_64& random) {
  static const std::array<const char*, 16> kTokens = {
      "{",    "}",       "[",       "]",       "\"",       ",",    ":",        "null",
      "true", "\\u0000", "\\ud800", "../../x", "\x1b[31m", "\xff", "[[[[[[[[", "{\"a\":"};
  text.insert(below(random, text.size() + 1), kTokens[below(random, kTokens.size())]);
}

void change_once(std::string& text, std::mt19937_64& random) {
  const size_t at = below(random, text.size());
  const size_t length = std::min(text.size() - at, 1 + below(random, 40));
  switch (below(random, 8)) {
    case 0:
      if (!text.empty()) text[at] = static_cast<char>(random());
      break;
    case 1:
    case 2:
      replace_number(text, random);
      break;
    case 3:
      insert_token(text, random);
      break;
    case 4:
      text.erase(at, length);
      break;
    case 5:
      text.insert(at, text.substr(at, length));
      break;
    case 6: {
      const size_t other = below(random, text.size());
      const std::string piece = text.substr(other, std::min<size_t>(length, text.size() - other));
      text.replace(at, std::min(length, text.size() - at), piece);
      break;
    }
    default:
      text.resize(at);
  }
}

}  // namespace

std::string mutated(std::string text, std::mt19937_64& random) {
  const size_t changes = 1 + below(random, 4);
  for (size_t i = 0; i < changes; ++i) change_once(text, random);
  return text;
}

}  // namespace troupe::test
