#include "moe/dispatch/dispatcher.h"

#include "core/base/error.h"
#include "core/ops/rows.h"
#include "core/ops/view.h"
#include "moe/dispatch/exchange.h"
#include "moe/dispatch/row_order.h"

namespace troupe {
namespace {

RowLists token_lists(const DispatchPlan& plan, const std::shared_ptr<Device>& device) {
  return {index_tensor(plan.token_offset, device), index_tensor(plan.token_rows, device)};
}

}  // namespace

Dispatcher::Dispatcher(Placement placement, const ExpertGroups& groups, std::string site,
                       int64_t chunks)
    : placement_(std::move(placement)), groups_(groups), site_(std::move(site)), chunks_(chunks) {
  require(placement_.ranks == groups_.ep.size(), "experts placed on {} ranks, the group has {}",
          placement_.ranks, groups_.ep.size());
}

PermutedRows Dispatcher::permute(const Tensor& x_TD, const SparseAssignment& assignment,
                                 PhaseClock* clock) const {
  require(x_TD.dim(0) == assignment.tokens, "{} tokens assigned, {} given", assignment.tokens,
          x_TD.dim(0));
  PhaseScope scope(clock, Phase::dispatch);
  const auto plan = std::make_shared<const DispatchPlan>(
      make_plan(assignment, placement_, groups_, site_ + " counts", chunks_, clock));
  const Tensor& weight = assignment.weight;
  const Tensor w = cast(reshape(weight, Shape{weight.dim(0), 1}), wide(x_TD.dtype()));
  PermutedRows out{spread_rows(x_TD, index_tensor(plan->row_token, x_TD.device()),
                               token_lists(*plan, x_TD.device())),
                   gather_rows(w, index_tensor(plan->row_pair, x_TD.device())), plan};
  charge_backward(std::vector<Tensor>{out.x_SD, out.weight_S1},
                  std::vector<Tensor>{x_TD, assignment.weight}, clock, Phase::dispatch);
  return out;
}

Tensor Dispatcher::unpermute(const Tensor& rows_SD, const DispatchPlan& plan,
                             PhaseClock* clock) const {
  PhaseScope scope(clock, Phase::dispatch);
  Tensor out = collect_rows(rows_SD, token_lists(plan, rows_SD.device()),
                            index_tensor(plan.row_token, rows_SD.device()));
  charge_backward(std::vector<Tensor>{out}, std::vector<Tensor>{rows_SD}, clock, Phase::dispatch);
  return out;
}

}  // namespace troupe
