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

// The rows of some consecutive local experts of every rank: what travels in one exchange.
struct DispatchChunk {
  int64_t first_slot = 0;
  int64_t slots = 0;
  int64_t first_row = 0;           // among the rows that leave
  std::vector<int64_t> send_rows;  // [ep ranks]
  std::vector<int64_t> recv_rows;  // [ep ranks]
  // Arrivals of each rank of the etp group, whose ranks hold parts of the same experts and compute
  // all of these rows: [etp ranks].
  std::vector<int64_t> part_rows;
  // All of them, sorted by (etp rank, source rank, slot, token), are computed sorted by (slot, etp
  // rank, source rank, token): row i of the experts is arrival expert_order[i]. Not filled
  // where in_order: those of one source or one slot. That must not depend on the rows: all ranks
  // record the same ops, so that backward comes to their messages in the same order.
  bool in_order = false;
  std::vector<int32_t> expert_order;
  std::vector<int64_t> expert_rows;  // [slots of the rank] rows per local expert; 0 outside

  int64_t sent() const;
  int64_t received() const;  // by this rank
  int64_t computed() const;  // by all ranks of the etp group
};

struct DispatchPlan {
  int64_t tokens = 0;
  // Rows leave sorted by (chunk, rank, slot, token). Of each: its token and its pair in the
  // assignment.
  std::vector<int32_t> row_token;
  std::vector<int32_t> row_pair;
  std::vector<DispatchChunk> chunks;  // at least one; together all slots
  // Combine: kept rows of token t in the order of its choices, as numbers of sent rows.
  std::vector<int32_t> token_offset;  // [tokens + 1]
  std::vector<int32_t> token_rows;

  int64_t sent() const { return static_cast<int64_t>(row_token.size()); }
  int64_t computed() const;
};

// The ranks between which rows move: ep over which the experts are spread, and etp over which each
// expert is cut. Both outlive backward.
struct ExpertGroups {
  Communicator& ep;
  Communicator& etp;
};

// What a rank can plan alone: everything but recv_rows, part_rows, expert_order and expert_rows.
// counts: [ranks * slots], rows for each (rank, slot). Experts without a home (rank -1) may not be
// assigned. At most one chunk a slot.
DispatchPlan plan_sends(const SparseAssignment& assignment, const Placement& placement,
                        std::vector<int64_t>& counts, int64_t chunks = 1);
// Fills the rest from the counts that arrived: [etp ranks * source ranks * slots].
void plan_receives(const std::vector<int64_t>& arrived, int64_t slots, int etp_ranks, int etp_rank,
                   DispatchPlan& plan);

// Both, with one exchange of counts over ep, and one over etp, charged to Phase::comm. Collective.
DispatchPlan make_plan(const SparseAssignment& assignment, const Placement& placement,
                       const ExpertGroups& groups, const std::string& site, int64_t chunks = 1,
                       PhaseClock* clock = nullptr);

}  // namespace troupe
