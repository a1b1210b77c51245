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

// Rows at their experts, sorted by local expert, then by source rank, then by token.
struct DispatchedRows {
  Tensor x_RD;      // type of x
  Tensor weight_R;  // gate weights, wide type of x; their gradient goes back through the exchange
  std::shared_ptr<const DispatchPlan> plan;
};

// The experts multiply each row by its gate weight; combine is then a plain sum of a token's rows
// in the order of its choices, so no layout changes the order of that sum.
class Dispatcher {
 public:
  // site: names the layer in messages and counters. The group must outlive backward.
  Dispatcher(Placement placement, Communicator& ep, std::string site);

  // x: [T, D]. Collective over ep: one exchange of counts, one of rows, one of gate weights.
  DispatchedRows dispatch(const Tensor& x_TD, const Assignment& assignment,
                          PhaseClock* clock = nullptr) const;
  // rows: [R, D] in the order of dispatch, already weighted -> [T, D]. A token without kept rows
  // gets zeros. Collective over ep.
  Tensor combine(const Tensor& rows_RD, const DispatchPlan& plan,
                 PhaseClock* clock = nullptr) const;

  const Placement& placement() const { return placement_; }

 private:
  Placement placement_;
  Communicator& ep_;
  std::string site_;
};

}  // namespace troupe
