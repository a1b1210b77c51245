// Which keys the queries of causal attention see: those up to their own position, of their own
// document, in their window. Query s stands at position s + q_offset of the keys. All i32 [B, S].
#pragma once

#include "core/device/device.h"
#include "core/tensor/view.h"

namespace troupe::kernels {

// The first position that each query sees: its last `window` positions, itself included (0 = all),
// of its own document (null data = one for all). Throws (a bug) where the ids of documents fall
// along a sequence.
void first_visible(Stream& stream, View documents, int64_t window, int64_t q_offset, View first);

// end = min(s + q_offset + 1, keys)
void visible_end(Stream& stream, int64_t q_offset, int64_t keys, View end);

// mask [B, S, Sk] in f32 or f64: 0 where a query sees a key, else minus infinity.
void key_mask(Stream& stream, View first, View end, View mask);

}  // namespace troupe::kernels
