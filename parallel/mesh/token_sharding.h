// Which tokens of a micro-batch a rank works on. Every rank of a data rank (cp x tp of them) knows
// the whole micro-batch of B sequences of S tokens, numbered b * S + s; its hidden states are the
// rows of some of them:
//
//   attention rows   positions cut over cp (zigzag for ring, blocks for all_to_all), the same on
//                    all tp ranks: what attention, dense products and the loss see
//   stream rows      the residual stream: with sp the tp-th part of the attention rows, else all
//   own rows         the tp-th part in any case: disjoint over cp x tp, what the MoE layer routes
#pragma once

#include <cstdint>
#include <vector>

#include "parallel/mesh/parallelism.h"

namespace troupe {

// The positions of a sequence that the cp rank holds, rising. Throws Error(usage) when seq_len does
// not divide over cp.
std::vector<int64_t> context_positions(const Parallelism& parallelism, int cp, int64_t seq_len);

class TokenSharding {
 public:
  // coordinates: of this rank. Throws Error(usage) when S does not divide over cp and, with sp, tp.
  TokenSharding(const Parallelism& parallelism, const std::array<int, kAxes>& coordinates,
                int64_t sequences, int64_t seq_len);

  int64_t tokens() const { return sequences_ * seq_len_; }
  int64_t sequences() const { return sequences_; }
  int64_t seq_len() const { return seq_len_; }
  // True when every rank holds all rows: cp = tp = 1.
  bool whole() const { return parts_ == 1; }
  // Token numbers, in the order of the rows.
  const std::vector<int32_t>& attention_rows() const { return attention_rows_; }
  const std::vector<int32_t>& stream_rows() const;
  const std::vector<int32_t>& own_rows() const { return own_rows_; }
  // Own rows begin here in the attention rows.
  int64_t own_begin() const { return own_begin_; }
  // Own rows of each tp rank, in rank order; they sum to the attention rows.
  const std::vector<int64_t>& own_counts_over_tp() const { return tp_counts_; }
  // Own rows of each rank of cp x tp in rank order, and where token t stands when they are put one
  // after the other.
  const std::vector<int64_t>& own_counts() const { return counts_; }
  const std::vector<int32_t>& place_of_token() const { return place_of_token_; }
  // The position in its sequence of row i of the attention rows.
  int64_t position(int64_t row) const {
    return attention_rows_[static_cast<size_t>(row)] % seq_len_;
  }

 private:
  bool sp_;
  int parts_;
  int64_t sequences_;
  int64_t seq_len_;
  int64_t own_begin_ = 0;
  std::vector<int32_t> attention_rows_;
  std::vector<int32_t> own_rows_;
  std::vector<int64_t> tp_counts_;
  std::vector<int64_t> counts_;
  std::vector<int32_t> place_of_token_;
};

}  // namespace troupe
