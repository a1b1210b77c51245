// Which keys of each rank's positions a query sees.
#pragma once

#include <memory>
#include <vector>

#include "core/kernels/attention.h"
#include "core/ops/attention.h"

namespace troupe {

// Of the keys of one rank. Positions rise on every rank, so that the keys a query sees are one
// interval of them.
struct KeyRange {
  Tensor first;  // i32 [B, queries]
  Tensor end;
  bool any = false;  // does some query see some key
  kernels::AttentionMask mask() const { return {first.view(), end.view()}; }
};

// One range for every element of key_positions (the positions of each rank's keys, rising), of
// queries at query_positions (rising too). seq_len: of whole sequences; options.documents [B, S].
std::vector<KeyRange> key_ranges(const std::vector<int64_t>& query_positions,
                                 const std::vector<std::vector<int64_t>>& key_positions,
                                 int64_t sequences, int64_t seq_len,
                                 const AttentionOptions& options,
                                 const std::shared_ptr<Device>& device);

}  // namespace troupe
