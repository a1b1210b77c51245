// Attention of one rank, and the same cut over the ranks of a cp axis and put together again.
#pragma once

#include <memory>
#include <vector>

#include "parallel/cp/context_attention.h"

namespace troupe::testing {

struct AttentionCase {
  int64_t sequences = 1;
  int64_t seq_len = 12;
  int64_t heads = 2;
  int64_t kv_heads = 1;
  int64_t head_dim = 4;
  int64_t window = 0;
  bool documents = false;
};

// Whole tensors: [B, S, heads, hd], or with kv_heads for dk and dv; as f64 numbers, or the bits of
// one rank where all ranks must agree.
struct AttentionResult {
  std::vector<double> out, dq, dk, dv;
  bool operator==(const AttentionResult&) const = default;
};

// Random values; the gradient of the output is random too. The same on every rank.
AttentionResult whole_attention(const AttentionCase& c, DType dtype);

// The axes of a mesh with this cp alone.
Parallelism context_parallelism(CpKind kind, int cp);

// This rank's share, with the other ranks' rows left 0, and the bytes it sent.
struct CutResult {
  AttentionResult result;
  ContextBytes bytes;
};
CutResult cut_attention(const AttentionCase& c, DType dtype, const Mesh& mesh,
                        const std::shared_ptr<Device>& device);

// All ranks as threads, their shares put together; `threads` per rank.
AttentionResult gathered_attention(const AttentionCase& c, DType dtype,
                                   const Parallelism& parallelism, int threads = 1);

// max|a - b| / max|a| over all four tensors.
double worst_difference(const AttentionResult& a, const AttentionResult& b);

}  // namespace troupe::testing
