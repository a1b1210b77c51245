#include "core/text/permutation.h"

#include <bit>

#include "core/base/error.h"

namespace troupe {

uint64_t permute(const Random& random, uint64_t number, uint64_t size, uint64_t index) {
  constexpr uint64_t kRounds = 8;
  require(index < size && size <= uint64_t{1} << 62, "index {} of a permutation of {}", index,
          size);
  if (size == 1) return 0;
  const int half = (std::bit_width(size - 1) + 1) / 2;
  const uint64_t mask = (uint64_t{1} << half) - 1;
  do {
    uint64_t left = index >> half;
    uint64_t right = index & mask;
    for (uint64_t round = 0; round < kRounds; ++round) {
      const uint64_t mixed = left ^ (random.bits(right, number * kRounds + round) & mask);
      left = right;
      right = mixed;
    }
    index = left << half | right;
  } while (index >= size);
  return index;
}

}  // namespace troupe
