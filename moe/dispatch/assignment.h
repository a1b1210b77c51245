// Which experts each token goes to: what a router decides and what the dispatcher executes.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "core/tensor/tensor.h"

namespace troupe {

// Ragged (token, expert, weight) pairs, by token. A token may have none (padding, expert choice)
// and an expert may have none. Pairs of a token stand in the order of its choices, the best first;
// that is the order in which combine adds them.
struct SparseAssignment {
  int64_t tokens = 0;
  int64_t experts = 0;
  std::vector<int64_t> token_begin;  // [tokens + 1]: pairs of token t are [begin[t], begin[t + 1])
  std::vector<int32_t> expert;       // [pairs], global expert numbers, distinct for each token
  std::vector<uint8_t> kept;         // [pairs], 0 = dropped by capacity
  Tensor weight;  // [pairs] gate weights in router precision, with their gradient; not saved

  int64_t pairs() const { return static_cast<int64_t>(expert.size()); }
  // Appends token number `tokens` with its experts, all kept.
  void append(std::span<const int32_t> experts_of_token);
  // Pairs per expert: as chosen, after drops, and counting each token's first choice only.
  std::vector<int64_t> selected_counts() const;
  std::vector<int64_t> kept_counts() const;
  std::vector<int64_t> first_counts() const;
  // Token of each pair.
  std::vector<int32_t> pair_tokens() const;
  // Throws (a bug) unless offsets rise, experts are in range and distinct in each token.
  void check() const;
  bool same_routing(const SparseAssignment& other) const;  // everything but the weights
};

SparseAssignment empty_assignment(int64_t experts);

// The given tokens, in that order, as an assignment of their own without weights; `pairs` gets the
// pair numbers that it took.
SparseAssignment take_tokens(const SparseAssignment& assignment, std::span<const int32_t> tokens,
                             std::vector<int32_t>& pairs);
// Tokens [begin, end) as an assignment of their own, without weights.
SparseAssignment slice_tokens(const SparseAssignment& assignment, int64_t begin, int64_t end);
// One after the other, without weights. With slice_tokens it moves a saved assignment from one
// layout to another: cut it into sequences, join the sequences that a rank holds.
SparseAssignment join_tokens(std::span<const SparseAssignment> parts);

// Experts, offsets and drops as bytes (little endian) and back; weights are computed again on
// replay. assignment_from_bytes throws Error(checkpoint) when the bytes are not an assignment.
std::vector<uint8_t> to_bytes(const SparseAssignment& assignment);
SparseAssignment assignment_from_bytes(std::span<const uint8_t> bytes);

// Routing made for measurements, to be replayed: `balanced` gives every expert the same number of
// tokens (to within one), `zipf` gives expert e a share that falls as 1 / (e + 1).
enum class SyntheticRouting : uint8_t { balanced, zipf };
SparseAssignment synthetic_assignment(SyntheticRouting kind, int64_t tokens, int64_t experts,
                                      int64_t choices, uint64_t seed);

}  // namespace troupe
