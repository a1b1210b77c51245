// Nearest legal values, for the fix that a problem offers.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

namespace troupe {

// Divisors of n, ascending; n >= 1.
std::vector<int64_t> divisors(int64_t n);
// The (at most `count`) numbers nearest to `value`, ascending: "2, 3, 6".
std::string nearest_of(std::vector<int64_t> numbers, int64_t value, size_t count);
// The (at most four) divisors of n nearest to `value`.
std::string near_divisors(int64_t n, int64_t value);
// The multiples of `unit` around `value`: "32" or "32, 64".
std::string near_multiples(int64_t unit, int64_t value);

}  // namespace troupe
