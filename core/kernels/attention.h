// Causal attention with grouped queries in blocks: memory linear in the sequence.
#pragma once

#include "core/device/device.h"
#include "core/tensor/view.h"

namespace troupe::kernels {

// Which of the given keys a query sees: query s of sequence b keys [first[b, s], end[b, s]). Both
// rise with the query.
struct AttentionMask {
  View first;  // i32 [B, S], contiguous
  View end;    // the same, at most Sk
  template <typename F>
  void for_each_view(F&& f) {
    f(first);
    f(end);
  }
};

// The keys of a query may come in parts. A further part joins what the outputs hold of the earlier
// ones; these outputs then have the wide type.
enum class KeyPart : uint8_t { first, further };

// q [B, S, H, hd], k, v [B, Sk, Hkv, hd], last dim contiguous; out contiguous [B, S, H, hd], of q's
// type or the wide one; lse [B, H, S] in the wide type: log-sum-exp of each row's scaled scores,
// +infinity for a row that sees nothing. A further part makes out and lse those of all keys so far.
void attention(Stream& stream, View q, View k, View v, double scale, const AttentionMask& mask,
               View out, View lse, KeyPart part = KeyPart::first);

// dout, out, dq, dk, dv contiguous; dq, dk, dv of q's type or the wide one. out and lse are those
// over the keys of all parts. A further part adds to dq; dk and dv belong to this part's keys
// alone.
void attention_gradient(Stream& stream, View q, View k, View v, double scale,
                        const AttentionMask& mask, View out, View lse, View dout, View dq, View dk,
                        View dv, KeyPart part = KeyPart::first);

// Few queries against a long cache: no blocks, one pass over keys and one over values.
void attention_decode(Stream& stream, View q, View k, View v, double scale,
                      const AttentionMask& mask, View out);

}  // namespace troupe::kernels
