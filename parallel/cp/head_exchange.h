// Heads exchanged for positions: each rank of a group gives up all heads of its own positions for
// its heads of all positions. Pure data movement, no tape.
#pragma once

#include <string>

#include "core/tensor/tensor.h"
#include "parallel/comm/communicator.h"

namespace troupe {

// x [B, n, ranks * h, hd] of each rank, heads in the order of the ranks that get them ->
// [B, ranks * n, h, hd], positions in the order of the ranks that hold them.
Tensor heads_for_positions(const Tensor& x, Communicator& group, const std::string& site);
// The way back, which is also the gradient.
Tensor positions_for_heads(const Tensor& x, Communicator& group, const std::string& site);

// Which heads each rank gets. Query heads are cut into equal blocks; the kv head of a query head
// goes where the query head goes, to several ranks if need be.
class HeadSplit {
 public:
  // heads % ranks == 0, heads % kv_heads == 0.
  HeadSplit(int64_t heads, int64_t kv_heads, int ranks);

  // Of one rank; equal on all.
  int64_t query_heads() const { return query_heads_; }
  int64_t kv_heads() const { return query_heads_ / run_; }
  int64_t width() const { return query_heads_ + 2 * kv_heads(); }
  // The kv head that stands at place i of the rank's.
  int64_t kv_head(int rank, int64_t i) const {
    return (rank * query_heads_ + i * run_) / query_heads_per_kv_;
  }

  // q [B, n, heads, hd], k, v [B, n, kv_heads, hd] -> [B, n, ranks * width, hd]: for each rank its
  // heads of q, k and v.
  Tensor pack(const Tensor& q, const Tensor& k, const Tensor& v) const;
  // A rank's q, k or v (0, 1, 2) as a view of x [B, S, width, hd].
  Tensor part(const Tensor& x, int which) const;
  // The gradient of pack: contiguous q, k, v; a kv head that went to several ranks gets the sum in
  // rank order, taken in the wide type.
  struct Unpacked {
    Tensor q, k, v;
  };
  Unpacked unpack_gradient(const Tensor& packed) const;

 private:
  int ranks_;
  int64_t query_heads_;
  int64_t all_kv_heads_;
  int64_t query_heads_per_kv_;
  int64_t run_;  // query heads of one rank that share a place
  Tensor sum_heads(const Tensor& packed, int64_t offset) const;
};

}  // namespace troupe
