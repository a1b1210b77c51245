// Ring attention (Liu et al. 2023): keys and values travel round the ranks of a group, one hop a
// step, while each rank's queries attend to the part that is there.
#pragma once

#include <string>
#include <vector>

#include "parallel/comm/communicator.h"
#include "parallel/cp/key_ranges.h"

namespace troupe {

// q [B, n, H, hd], k and v [B, n, Hkv, hd], contiguous. ranges[r]: what this rank's queries see of
// rank r's keys; every query sees some key of its own rank. Sums run in the order in which the
// parts arrive: own rank, the one before it, ... for queries; own rank, the one after it, ... for
// keys.
Tensor ring_attention(const Tensor& q, const Tensor& k, const Tensor& v, double scale,
                      std::vector<KeyRange> ranges, Communicator& group, const std::string& site);

}  // namespace troupe
