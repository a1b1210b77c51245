// Attention over sequences that are cut over the cp axis.
#pragma once

#include <string>

#include "core/ops/attention.h"
#include "parallel/mesh/mesh.h"
#include "parallel/mesh/token_sharding.h"

namespace troupe {

// q [B, S / cp, H, hd], k and v [B, S / cp, Hkv, hd] -> [B, S / cp, H, hd]: this rank's positions
// in the order of sharding.attention_rows(), all heads of its tp part. options.documents: those of
// the whole micro-batch, i32 [B, S], the same on every rank; q_offset is 0. Every rank of the cp
// group must come through backward, or none. `mesh` must outlive the tape; `site` names the caller
// in messages and counters.
//
// With cp = 1 this is attention(). Else by mesh.parallelism().cp_kind, which also decides the
// positions of a rank:
//   ring        keys and values travel round the ranks; each rank attends to one part after the
//               other
//   all_to_all  heads are exchanged for positions: during the attention each rank holds H / cp
//   heads
//               of all positions. Throws Error(usage) unless H % cp == 0.
Tensor context_attention(const Tensor& q, const Tensor& k, const Tensor& v,
                         const AttentionOptions& options, const TokenSharding& sharding,
                         const Mesh& mesh, const std::string& site);

// Bytes that a rank sends to the others in one call and in its gradient.
struct ContextBytes {
  int64_t forward = 0;
  int64_t backward = 0;
};
// tokens: of this rank (B * S / cp); heads, kv_heads: of its tp part.
ContextBytes context_attention_bytes(CpKind kind, int cp, int64_t tokens, int64_t heads,
                                     int64_t kv_heads, int64_t head_dim, DType dtype);

}  // namespace troupe
