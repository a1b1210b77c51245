#include "launch/config/legal.h"

#include <fmt/core.h>
#include <fmt/format.h>

#include <algorithm>
#include <cstdlib>

namespace troupe {

std::vector<int64_t> divisors(int64_t n) {
  std::vector<int64_t> low;
  std::vector<int64_t> high;
  for (int64_t d = 1; d * d <= n; ++d) {
    if (n % d != 0) continue;
    low.push_back(d);
    if (d != n / d) high.push_back(n / d);
  }
  low.insert(low.end(), high.rbegin(), high.rend());
  return low;
}

std::string near_divisors(int64_t n, int64_t value) {
  std::vector<int64_t> all = divisors(n);
  std::stable_sort(all.begin(), all.end(), [&](int64_t a, int64_t b) {
    return std::llabs(a - value) < std::llabs(b - value);
  });
  if (all.size() > 4) all.resize(4);
  std::sort(all.begin(), all.end());
  return fmt::format("{}", fmt::join(all, ", "));
}

std::string near_multiples(int64_t unit, int64_t value) {
  const int64_t below = value / unit * unit;
  if (below == 0) return fmt::format("{}", unit);
  return fmt::format("{}, {}", below, below + unit);
}

}  // namespace troupe
