// Causal attention with grouped queries, in a form whose memory is linear in the sequence: scores
// live in blocks, backward keeps one log-sum-exp per row (Dao et al. 2022).
#pragma once

#include "core/tensor/tensor.h"

namespace troupe {

struct AttentionOptions {
  double scale = 0;      // of the scores; 0 = 1 / sqrt(head_dim)
  int64_t window = 0;    // a query sees its last `window` positions, itself included; 0 = all
  Tensor documents;      // i32 [B, S], rising along S: a query sees its own document only;
                         // undefined = one
  int64_t q_offset = 0;  // position of the first query minus that of the first key (KV cache)

  double scale_for(int64_t head_dim) const;
};

// q [B, S, H, hd], k and v [B, Sk, Hkv, hd] with H % Hkv == 0 (head h reads kv head h / (H / Hkv))
// -> [B, S, H, hd]. Query s sees key j if j <= s + q_offset. Views with a contiguous last dim are
// read as they lie. documents need S == Sk and q_offset 0. Softmax in the wide type; under bf16 the
// products take bf16 operands and sum in f32. A query that sees no key gives zeros.
Tensor attention(const Tensor& q, const Tensor& k, const Tensor& v,
                 const AttentionOptions& options = {});

// i32 [sequences, queries]: the first position that each query sees: by the window, and by the
// document, since ids rise along a sequence. Queries stand at positions q_offset and up.
Tensor first_visible(int64_t sequences, int64_t queries, const AttentionOptions& options,
                     const std::shared_ptr<Device>& device);

// attention() by whole score matrices made of simple ops: its oracle, for tests and tiny inputs.
Tensor attention_composite(const Tensor& q, const Tensor& k, const Tensor& v,
                           const AttentionOptions& options = {});

// Generation: S queries (few) against a cache, without a gradient. q [B, S, H, hd], cache views
// [B, Sk, Hkv, hd] whose last query position is Sk - 1, that is q_offset = Sk - S.
Tensor attention_decode(const Tensor& q, const Tensor& k, const Tensor& v, int64_t window = 0,
                        double scale = 0);

}  // namespace troupe
