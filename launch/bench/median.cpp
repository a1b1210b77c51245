#include "launch/bench/median.h"

#include <algorithm>

#include "core/base/error.h"

namespace troupe {

double median(std::vector<double> values) {
  require(!values.empty(), "the median of no values");
  std::sort(values.begin(), values.end());
  const size_t middle = values.size() / 2;
  return values.size() % 2 == 1 ? values[middle] : (values[middle - 1] + values[middle]) / 2;
}

}  // namespace troupe
