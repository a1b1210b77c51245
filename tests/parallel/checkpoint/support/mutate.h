// Changes to the text and the bytes of checkpoint files, each a pure function of a number.
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <vector>

#include "core/base/random.h"

namespace troupe::test {

// Draws for one mutant.
class Dice {
 public:
  Dice(uint64_t number, const std::string& purpose) : random_(number, purpose) {}
  uint64_t below(uint64_t n) { return random_.below(at_++, n); }
  bool one_in(uint64_t n) { return below(n) == 0; }
  template <size_t N>
  std::string pick(const std::array<const char*, N>& words) {
    return words[below(N)];
  }

 private:
  Random random_;
  uint64_t at_ = 0;
};

// Changes one word, line, or byte of a text of lines; a word may become one of `names`.
void mutate_text(std::string& text, Dice& dice, const std::vector<std::string>& names);
// Gives the parts of a file the digests that its own seal asks for, where the seal can be read.
void mend(std::string& file, size_t block);
// Mutant number `number` of a file with a seal.
std::string mutant(const std::string& original, uint64_t number);

}  // namespace troupe::test
