// The plan of one dispatch: which rows go where, and the way back. An explicit handle, made once
// from an assignment and used by dispatch, combine and their gradients.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "core/base/phase_clock.h"
#include "moe/dispatch/assignment.h"
#include "moe/dispatch/placement.h"
#include "parallel/comm/communicator.h"

namespace troupe {

struct DispatchPlan {
  int64_t tokens = 0;
  // Rows leave sorted by (rank, slot, token). Of each: its token and its pair in the assignment.
  std::vector<int32_t> row_token;
  std::vector<int32_t> row_pair;
  std::vector<int64_t> send_rows;  // [ep ranks]
  std::vector<int64_t> recv_rows;  // [ep ranks]
  // Rows arrive sorted by (source rank, slot, token) and are computed sorted by (slot, source rank,
  // token): row i of the experts is arrival expert_order[i]. Empty when that is the same order.
  std::vector<int32_t> expert_order;
  std::vector<int64_t> expert_rows;  // [slots] rows per local expert
  // Combine: kept rows of token t in the order of its choices, as numbers of sent rows.
  std::vector<int32_t> token_offset;  // [tokens + 1]
  std::vector<int32_t> token_rows;

  int64_t sent() const { return static_cast<int64_t>(row_token.size()); }
  int64_t received() const;
};

// What a rank can plan alone: everything but recv_rows, expert_order and expert_rows.
// counts: [ranks * slots], rows for each (rank, slot).
DispatchPlan plan_sends(const Assignment& assignment, const Placement& placement,
                        std::vector<int64_t>& counts);
// Fills the rest from the counts that arrived: [source ranks * slots].
void plan_receives(const std::vector<int64_t>& arrived, int64_t slots, DispatchPlan& plan);

// Both, with one exchange of counts over the expert group, charged to Phase::comm. Collective.
DispatchPlan make_plan(const Assignment& assignment, const Placement& placement, Communicator& ep,
                       const std::string& site, PhaseClock* clock = nullptr);

}  // namespace troupe
