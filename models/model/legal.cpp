#include "models/model/legal.h"

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

std::vector<int64_t> nearest_of(std::vector<int64_t> numbers, int64_t value, size_t count) {
  std::stable_sort(numbers.begin(), numbers.end(), [&](int64_t a, int64_t b) {
    return std::llabs(a - value) < std::llabs(b - value);
  });
  if (numbers.size() > count) numbers.resize(count);
  std::sort(numbers.begin(), numbers.end());
  return numbers;
}

std::vector<int64_t> near_divisors(int64_t n, int64_t value) {
  return nearest_of(divisors(n), value, 4);
}

std::vector<int64_t> near_multiples(int64_t unit, int64_t value) {
  const int64_t below = value / unit * unit;
  if (below == 0) return {unit};
  return {below, below + unit};
}

}  // namespace troupe
