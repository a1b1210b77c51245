#include "moe/routers/parts/select.h"

#include <cmath>
#include <vector>

#include "core/base/error.h"

namespace troupe {

void top_k(std::span<const double> scores, std::span<int32_t> out) {
  require(out.size() <= scores.size(), "the best {} of {} scores", out.size(), scores.size());
  std::vector<bool> taken(scores.size(), false);
  for (int32_t& chosen : out) {
    size_t best = scores.size();
    for (size_t i = 0; i < scores.size(); ++i) {
      if (taken[i]) continue;
      const bool better = best == scores.size() || scores[i] > scores[best] ||
                          (std::isnan(scores[best]) && !std::isnan(scores[i]));
      if (better) best = i;
    }
    taken[best] = true;
    chosen = static_cast<int32_t>(best);
  }
}

}  // namespace troupe
