// Nearest legal values, for the fix that a problem offers.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace troupe {

// Divisors of n, ascending; n >= 1.
std::vector<int64_t> divisors(int64_t n);
// The (at most four) divisors of n nearest to `value`: "2, 3, 6".
std::string near_divisors(int64_t n, int64_t value);
// The multiples of `unit` around `value`: "32" or "32, 64".
std::string near_multiples(int64_t unit, int64_t value);

}  // namespace troupe
