#include "moe/dispatch/dispatcher.h"

#include "core/base/error.h"
#include "core/ops/rows.h"
#include "core/ops/view.h"
#include "moe/dispatch/exchange.h"

namespace troupe {
namespace {

Tensor index_tensor(const std::vector<int32_t>& index, const std::shared_ptr<Device>& device) {
  return Tensor::from(std::span<const int32_t>(index), Shape{static_cast<int64_t>(index.size())},
                      device);
}

// Position of each arrival in the order of the experts.
std::vector<int32_t> inverse(const std::vector<int32_t>& order) {
  std::vector<int32_t> out(order.size());
  for (size_t i = 0; i < order.size(); ++i)
    out[static_cast<size_t>(order[i])] = static_cast<int32_t>(i);
  return out;
}

Tensor reorder(const Tensor& rows, const std::vector<int32_t>& order) {
  return order.empty() ? rows : gather_rows(rows, index_tensor(order, rows.device()));
}

}  // namespace

Dispatcher::Dispatcher(Placement placement, Communicator& ep, std::string site)
    : placement_(std::move(placement)), ep_(ep), site_(std::move(site)) {
  require(placement_.ranks == ep_.size(), "experts placed on {} ranks, the group has {}",
          placement_.ranks, ep_.size());
}

DispatchedRows Dispatcher::dispatch(const Tensor& x_TD, const Assignment& assignment,
                                    PhaseClock* clock) const {
  require(x_TD.dim(0) == assignment.tokens, "{} tokens assigned, {} given", assignment.tokens,
          x_TD.dim(0));
  PhaseScope scope(clock, Phase::dispatch);
  const auto plan = std::make_shared<const DispatchPlan>(
      make_plan(assignment, placement_, ep_, site_ + " counts", clock));
  const Tensor& weight = assignment.weight;
  const Tensor row_token = index_tensor(plan->row_token, x_TD.device());
  const Tensor row_pair = index_tensor(plan->row_pair, x_TD.device());
  Tensor x = gather_rows(x_TD, row_token);
  Tensor w =
      gather_rows(cast(reshape(weight, Shape{weight.dim(0), 1}), wide(x_TD.dtype())), row_pair);
  x = exchange_rows(x, plan->send_rows, plan->recv_rows, ep_, site_ + " dispatch", clock);
  w = exchange_rows(w, plan->send_rows, plan->recv_rows, ep_, site_ + " gate weights", clock);
  x = reorder(x, plan->expert_order);
  w = reorder(w, plan->expert_order);
  DispatchedRows out{x, reshape(w, Shape{w.dim(0)}), plan};
  charge_backward(std::vector<Tensor>{out.x_RD, out.weight_R}, std::vector<Tensor>{x_TD, weight},
                  clock, Phase::dispatch);
  return out;
}

Tensor Dispatcher::combine(const Tensor& rows_RD, const DispatchPlan& plan,
                           PhaseClock* clock) const {
  PhaseScope scope(clock, Phase::dispatch);
  Tensor rows = reorder(rows_RD, inverse(plan.expert_order));
  rows = exchange_rows(rows, plan.recv_rows, plan.send_rows, ep_, site_ + " combine", clock);
  const RowLists lists{index_tensor(plan.token_offset, rows.device()),
                       index_tensor(plan.token_rows, rows.device())};
  Tensor out = combine_rows(rows, lists);
  charge_backward(std::vector<Tensor>{out}, std::vector<Tensor>{rows_RD}, clock, Phase::dispatch);
  return out;
}

}  // namespace troupe
