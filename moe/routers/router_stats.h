// What a MoE layer counted in one micro-batch: returned as a value, added up over the micro-batches
// of a step and over the ranks, then committed once.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

namespace troupe {

class Communicator;

// What there is to count of a routing besides the pairs of each expert.
struct CountedKinds {
  bool first_choices = false;
  bool probabilities = true;
  bool load = true;
};

struct RouterStats {
  std::vector<int64_t> selected;  // [E] pairs per expert before drops, padding left out
  std::vector<int64_t> kept;      // [E] pairs per expert after drops
  std::vector<int64_t> first;     // [E] first choices per expert; empty = not counted apart
  int64_t tokens = 0;             // valid tokens
  int64_t rows = 0;  // rows that this rank's experts computed (after add_over_ranks: of all ranks)
  double entropy_sum = 0.0;  // nats, over valid tokens
  // [E] over valid tokens; empty where the router has none.
  std::vector<double> probability_sum;
  std::vector<double> load_sum;  // of the smooth load

  static RouterStats zeros(int64_t experts, const CountedKinds& kinds = {});
  int64_t experts() const { return static_cast<int64_t>(selected.size()); }
  // The pairs of each expert that load fractions count.
  const std::vector<int64_t>& balanced() const { return first.empty() ? selected : first; }
  int64_t dropped() const;  // pairs
  double entropy() const;   // mean over tokens; 0 without tokens
  double dropped_fraction() const;
  // Largest over mean of `selected`; 1 when nothing was routed.
  double load_max_over_mean() const;
  int64_t dead_experts() const;  // experts with no token
  void add(const RouterStats& other);

  std::vector<int64_t> counts() const;  // of experts, all that there are: for comparisons
  // Numbers that add_over_ranks sums.
  int64_t summed_integers() const;
  int64_t summed_reals() const;
};

// Adds the statistics of all layers over the ranks of the group that hold different tokens (dp and
// cp): one exchange of integers and one of doubles. Every rank enters, with equal layer lists.
void add_over_ranks(std::span<RouterStats> layers, Communicator& group);

}  // namespace troupe
