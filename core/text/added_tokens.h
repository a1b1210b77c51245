// Finds added tokens (special ones and others) written out in a text.
#pragma once

#include <array>
#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

namespace troupe {

struct AddedToken;

class AddedTokens {
 public:
  // Those of `tokens` whose `normalized` is as given.
  AddedTokens(const std::vector<AddedToken>& tokens, bool normalized);
  // Walks over a text: appends the id of each added token (leftmost, then longest) and calls
  // `between` for the text before, between and behind them, unless it is empty.
  void split(std::string_view text, std::vector<int32_t>& ids,
             const std::function<void(std::string_view)>& between) const;

 private:
  struct Entry {
    std::string content;
    int32_t id;
  };
  const Entry* match(std::string_view text) const;
  std::array<std::vector<Entry>, 256> by_first_byte_;  // longest first
  bool empty_ = true;
};

}  // namespace troupe
