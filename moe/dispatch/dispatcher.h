// Moves the rows of tokens to the ranks of their experts and back.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "core/base/phase_clock.h"
#include "moe/dispatch/assignment.h"
#include "moe/dispatch/dispatch_plan.h"
#include "moe/dispatch/placement.h"
#include "parallel/comm/communicator.h"

namespace troupe {

// Rows about to leave, in the order of the plan.
struct PermutedRows {
  Tensor x_SD;
  Tensor weight_S1;  // wide type of x
  std::shared_ptr<const DispatchPlan> plan;
};

// The experts multiply each row by its gate weight; combine is then a plain sum of a token's rows
// in the order of its choices, so no layout changes the order of that sum. The gradient of a token
// sums in the same order.
//
// Where experts are cut over etp, the rows of all ranks of the etp group are put together after the
// exchange over ep, each rank computes its part of all of them, and before the way back the parts
// are summed in rank order.
class Dispatcher {
 public:
  // site: names the layer in messages and counters. chunks: in which the local experts are cut.
  Dispatcher(Placement placement, const ExpertGroups& groups, std::string site, int64_t chunks = 1);

  // Rows of kept pairs in the order in which they leave. x: [T, D]. Collective over ep and etp: one
  // exchange of counts. moe/dispatch/chunk_moves.h moves the rows from here.
  PermutedRows permute(const Tensor& x_TD, const SparseAssignment& assignment,
                       PhaseClock* clock = nullptr) const;
  // Results of these rows, home again -> [T, D]: the sum of each token's rows. One without kept
  // rows gets zeros.
  Tensor unpermute(const Tensor& rows_SD, const DispatchPlan& plan,
                   PhaseClock* clock = nullptr) const;

  const Placement& placement() const { return placement_; }
  const ExpertGroups& groups() const { return groups_; }
  const std::string& site() const { return site_; }

 private:
  Placement placement_;
  ExpertGroups groups_;
  std::string site_;
  int64_t chunks_;
};

}  // namespace troupe
