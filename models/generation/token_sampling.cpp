#include "models/generation/token_sampling.h"

#include <algorithm>
#include <cmath>
#include <numeric>
#include <vector>

#include "core/base/error.h"

namespace troupe {
namespace {

// Ids from the most to the least probable, ties by id.
std::vector<int32_t> by_probability(std::span<const double> logits) {
  std::vector<int32_t> order(logits.size());
  std::iota(order.begin(), order.end(), 0);
  std::stable_sort(order.begin(), order.end(),
                   [&](int32_t a, int32_t b) { return logits[a] > logits[b]; });
  return order;
}

}  // namespace

int32_t sample_token(std::span<const double> logits, const SamplingOptions& options,
                     const Random& random, uint64_t draw) {
  require(!logits.empty(), "no logits to sample from");
  if (options.temperature == 0.0) {
    return static_cast<int32_t>(std::max_element(logits.begin(), logits.end()) - logits.begin());
  }
  std::vector<int32_t> order = by_probability(logits);
  if (options.top_k > 0 && options.top_k < static_cast<int64_t>(order.size())) {
    order.resize(static_cast<size_t>(options.top_k));
  }
  const double largest = logits[static_cast<size_t>(order[0])];
  std::vector<double> weights(order.size());
  double total = 0.0;
  for (size_t i = 0; i < order.size(); ++i) {
    weights[i] = std::exp((logits[static_cast<size_t>(order[i])] - largest) / options.temperature);
    total += weights[i];
  }
  if (options.top_p < 1.0) {
    double kept = 0.0;
    size_t count = 0;
    while (count < weights.size() && (count == 0 || kept < options.top_p * total))
      kept += weights[count++];
    weights.resize(count);
    total = kept;
  }
  double remaining = random.uniform(draw) * total;
  for (size_t i = 0; i < weights.size(); ++i) {
    remaining -= weights[i];
    if (remaining < 0) return order[i];
  }
  return order[weights.size() - 1];
}

}  // namespace troupe
