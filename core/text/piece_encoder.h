// Encodes a text that comes in pieces, of any size in all, with the ids of the whole. No more of it
// is kept than a tokenizer needs to see where it may be cut.
#pragma once

#include <cstdint>
#include <functional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "core/text/tokenizer.h"

namespace troupe {

class PieceEncoder {
 public:
  // `take` gets the ids of some megabytes of text at a time, in order.
  using Take = std::function<void(std::span<const int32_t>)>;
  PieceEncoder(const Tokenizer& tokenizer, Take take)
      : tokenizer_(tokenizer), take_(std::move(take)) {}

  void add(std::string_view piece);
  void finish();  // the text is at its end; the next add() begins another

 private:
  void encode(std::string_view text);

  const Tokenizer& tokenizer_;
  Take take_;
  std::string pending_;
  size_t wanted_ = 0;  // bytes of pending_ from which looking for a cut is worth it
  std::vector<int32_t> ids_;
};

}  // namespace troupe
