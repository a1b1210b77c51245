// Nearest legal values, for the advice of a problem.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

namespace troupe {

// Divisors of n, ascending; n >= 1.
std::vector<int64_t> divisors(int64_t n);
// The (at most `count`) numbers nearest to `value`, ascending.
std::vector<int64_t> nearest_of(std::vector<int64_t> numbers, int64_t value, size_t count);
// The (at most four) divisors of n nearest to `value`, ascending.
std::vector<int64_t> near_divisors(int64_t n, int64_t value);
// The multiples of `unit` around `value`: 32 or 32, 64.
std::vector<int64_t> near_multiples(int64_t unit, int64_t value);

}  // namespace troupe
