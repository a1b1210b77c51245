#include "moe/routers/parts/select.h"

#include <cmath>
#include <limits>

#include "core/base/error.h"

namespace troupe {

void top_k(std::span<const double> scores, std::span<int32_t> out) {
  require(out.size() <= scores.size(), "the best {} of {} scores", out.size(), scores.size());
  auto value = [&](size_t i) {
    return std::isnan(scores[i]) ? -std::numeric_limits<double>::infinity() : scores[i];
  };
  // Each is the best of those that come after the one before in the order (score, index): all are
  // distinct without marking what was taken.
  double last = std::numeric_limits<double>::infinity();
  int32_t last_index = -1;
  for (int32_t& chosen : out) {
    auto best = static_cast<size_t>(-1);
    for (size_t i = 0; i < scores.size(); ++i) {
      const double score = value(i);
      const bool after = score < last || (score == last && static_cast<int32_t>(i) > last_index);
      if (after && (best == static_cast<size_t>(-1) || score > value(best))) best = i;
    }
    last = value(best);
    last_index = static_cast<int32_t>(best);
    chosen = last_index;
  }
}

}  // namespace troupe
