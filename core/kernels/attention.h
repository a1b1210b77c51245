// Causal attention with grouped queries in blocks: memory linear in the sequence.
#pragma once

#include "core/device/device.h"
#include "core/tensor/view.h"

namespace troupe::kernels {

// Which keys a query sees: one interval, rising with the query. Query s of sequence b sees keys
// [first[b, s], min(s + q_offset, Sk - 1)].
struct AttentionMask {
  View first;            // i32 [B, S], contiguous
  int64_t q_offset = 0;  // position of query 0 minus that of key 0
};

// q [B, S, H, hd], k, v [B, Sk, Hkv, hd], last dim contiguous; out contiguous [B, S, H, hd]; lse
// [B, H, S] in the wide type: log-sum-exp of each row's scaled scores, +infinity for a row that
// sees nothing.
void attention(Stream& stream, View q, View k, View v, double scale, const AttentionMask& mask,
               View out, View lse);

// dout, out, dq, dk, dv contiguous.
void attention_gradient(Stream& stream, View q, View k, View v, double scale,
                        const AttentionMask& mask, View out, View lse, View dout, View dq, View dk,
                        View dv);

// Few queries against a long cache: no blocks, one pass over keys and one over values.
void attention_decode(Stream& stream, View q, View k, View v, double scale,
                      const AttentionMask& mask, View out);

}  // namespace troupe::kernels
