#include "models/parts/routed_rows.h"

#include <algorithm>
#include <cmath>

#include "moe/routers/table.h"

namespace troupe {

int64_t routed_rows(const MoEConfig& moe, int64_t sequences, int64_t seq_len) {
  const int64_t tokens = sequences * seq_len;
  const int64_t choices = router_named(moe.router).choices(moe.router_options);
  if (!moe.capacity_factor) return tokens * choices;
  int64_t group = seq_len;
  if (moe.group.kind == GroupRule::Kind::tokens) group = moe.group.tokens;
  if (moe.group.kind == GroupRule::Kind::across_batch) group = moe.group.sequences;
  const double share = static_cast<double>(std::max<int64_t>(choices, 1) * group) *
                       *moe.capacity_factor / static_cast<double>(moe.experts);
  auto capacity = static_cast<int64_t>(std::ceil(share));
  if (choices > 0) capacity = std::max(capacity, moe.min_capacity);
  capacity = std::min(capacity, group);
  const int64_t filled = tokens / std::max<int64_t>(group, 1) * capacity * moe.experts;
  return choices > 0 ? std::min(tokens * choices, filled) : filled;
}

}  // namespace troupe
