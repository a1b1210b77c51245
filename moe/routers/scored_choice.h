// The choice of experts that most published models make: the k largest scores of one linear layer.
#pragma once

#include <cstdint>

namespace troupe {

struct ScoredChoice {
  enum class Score : uint8_t { softmax, softmax_of_chosen, sigmoid };
  Score score = Score::softmax;
  int64_t top_k = 2;
  bool renormalize = true;  // weights are divided by their sum; softmax_of_chosen needs it not
  double scale = 1.0;       // factor on the weights
  bool operator==(const ScoredChoice& other) const = default;
};

}  // namespace troupe
