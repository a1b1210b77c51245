// Pseudo-random permutations that are pure functions: no table, any size.
#pragma once

#include <cstdint>

#include "core/base/random.h"

namespace troupe {

// Where number `index` of [0, size) goes, in the permutation `number` of this stream of random
// numbers: a Feistel network over the next power of four, walked until it lands inside (Black and
// Rogaway, "Ciphers with arbitrary finite domains", 2002).
uint64_t permute(const Random& random, uint64_t number, uint64_t size, uint64_t index);

}  // namespace troupe
