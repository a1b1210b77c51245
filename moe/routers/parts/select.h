// Choosing the best of each row of scores.
#pragma once

#include <cstdint>
#include <vector>

#include "core/tensor/tensor.h"

namespace troupe {

// The columns of the k largest of each row of scores + bias (undefined = none), in host memory, [T
// * k]: largest first, ties to the lowest column, distinct and in range whatever the scores are;
// NaN counts as minus infinity. scores in f32 or f64, bias of their type.
std::vector<int32_t> top_k(const Tensor& scores_TE, const Tensor& bias_E, int64_t k);

}  // namespace troupe
