// Finds added tokens (special ones and others) written out in a text.
#pragma once

#include <array>
#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

namespace troupe {

struct AddedToken {
  int32_t id = 0;
  std::string content;
  bool special = false;      // control tokens, as against words added to the vocabulary
  bool normalized = false;   // matched after all those that are not, in the normalised text
  bool left_strip = false;   // takes the white space before it
  bool right_strip = false;  // takes the white space behind it
  bool single_word = false;  // only where no word character stands beside it
};

class AddedTokens {
 public:
  explicit AddedTokens(const std::vector<AddedToken>& tokens);
  // Walks over a text: appends the id of each added token (leftmost, then longest) and calls
  // `between` for the text before, between and behind them, unless it is empty.
  void split(std::string_view text, std::vector<int32_t>& ids,
             const std::function<void(std::string_view)>& between) const;
  // Whether a text can be cut at `at`, where a space follows an ASCII character that is none: false
  // behind a token that takes the space, or inside a token.
  bool can_cut(std::string_view text, size_t at) const;

 private:
  const AddedToken* match(std::string_view text) const;
  std::array<std::vector<AddedToken>, 256> by_first_byte_;  // longest first
  std::vector<std::string> strip_right_;  // contents of tokens that take the space
  bool empty_ = true;
  bool can_cut_ = true;
};

}  // namespace troupe
