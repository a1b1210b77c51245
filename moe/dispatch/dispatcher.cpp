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
  return {spread_rows(x_TD, index_tensor(plan->row_token, x_TD.device()),
                      token_lists(*plan, x_TD.device())),
          gather_rows(w, index_tensor(plan->row_pair, x_TD.device())), plan};
}

Tensor Dispatcher::unpermute(const Tensor& rows_SD, const DispatchPlan& plan,
                             PhaseClock* clock) const {
  PhaseScope scope(clock, Phase::dispatch);
  return collect_rows(rows_SD, token_lists(plan, rows_SD.device()),
                      index_tensor(plan.row_token, rows_SD.device()));
}

const DispatchChunk& Dispatcher::only_chunk(const DispatchPlan& plan) const {
  require(plan.chunks.size() == 1, "{}: {} chunks moved at once", site_, plan.chunks.size());
  return plan.chunks.front();
}

DispatchedRows Dispatcher::dispatch(const Tensor& x_TD, const SparseAssignment& assignment,
                                    PhaseClock* clock) const {
  PhaseScope scope(clock, Phase::dispatch);
  const PermutedRows leaving = permute(x_TD, assignment, clock);
  const DispatchChunk& chunk = only_chunk(*leaving.plan);
  const auto move = [&](Tensor rows, const std::string& what) {
    rows = exchange_rows(rows, chunk.send_rows, chunk.recv_rows, groups_.ep, site_ + what, clock);
    rows = gather_parts(rows, chunk.part_rows, groups_.etp, site_ + what + " to parts", clock);
    return to_expert_order(rows, chunk);
  };
  const Tensor x = move(leaving.x_SD, " dispatch");
  const Tensor w = move(leaving.weight_S1, " gate weights");
  DispatchedRows out{x, reshape(w, Shape{w.dim(0)}), leaving.plan};
  charge_backward(std::vector<Tensor>{out.x_RD, out.weight_R},
                  std::vector<Tensor>{x_TD, assignment.weight}, clock, Phase::dispatch);
  return out;
}

Tensor Dispatcher::combine(const Tensor& rows_RD, const DispatchPlan& plan,
                           PhaseClock* clock) const {
  PhaseScope scope(clock, Phase::dispatch);
  const DispatchChunk& chunk = only_chunk(plan);
  Tensor rows = from_expert_order(rows_RD, chunk);
  rows = sum_parts(rows, chunk.part_rows, groups_.etp, site_ + " combine of parts", clock);
  rows =
      exchange_rows(rows, chunk.recv_rows, chunk.send_rows, groups_.ep, site_ + " combine", clock);
  Tensor out = unpermute(rows, plan, clock);
  charge_backward(std::vector<Tensor>{out}, std::vector<Tensor>{rows_RD}, clock, Phase::dispatch);
  return out;
}

}  // namespace troupe
