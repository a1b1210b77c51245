// Attention with heads exchanged for positions (Jacobs et al. 2023, DeepSpeed-Ulysses).
#pragma once

#include <string>

#include "parallel/comm/communicator.h"
#include "parallel/cp/key_ranges.h"

namespace troupe {

// q [B, n, H, hd], k and v [B, n, Hkv, hd] of each rank; positions are cut in blocks, in rank
// order. H % ranks == 0. range: what every query sees of the keys of whole sequences, [B, ranks *
// n].
Tensor all_to_all_attention(const Tensor& q, const Tensor& k, const Tensor& v, double scale,
                            const KeyRange& range, Communicator& group, const std::string& site);

}  // namespace troupe
