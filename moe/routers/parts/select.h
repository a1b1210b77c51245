// Choosing the best of a row of scores.
#pragma once

#include <cstdint>
#include <span>

namespace troupe {

// The indices of the out.size() largest scores, largest first, ties to the lowest index. They are
// distinct and in range whatever the scores are; NaN counts as minus infinity.
void top_k(std::span<const double> scores, std::span<int32_t> out);

}  // namespace troupe
