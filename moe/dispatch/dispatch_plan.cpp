#include "moe/dispatch/dispatch_plan.h"

#include <algorithm>
#include <numeric>

#include "core/base/error.h"

namespace troupe {
namespace {

// Where each bin begins, from its sizes.
std::vector<int64_t> begins(const std::vector<int64_t>& sizes) {
  std::vector<int64_t> out(sizes.size());
  std::exclusive_scan(sizes.begin(), sizes.end(), out.begin(), int64_t{0});
  return out;
}

View integers(std::vector<int64_t>& values, int64_t columns) {
  return View{values.data(), DType::i64,
              Shape{static_cast<int64_t>(values.size()) / columns, columns}, Shape{columns, 1}};
}

}  // namespace

int64_t DispatchPlan::received() const {
  return std::accumulate(recv_rows.begin(), recv_rows.end(), int64_t{0});
}

DispatchPlan plan_sends(const Assignment& assignment, const Placement& placement,
                        std::vector<int64_t>& counts) {
  require(assignment.experts == placement.experts(), "{} experts assigned, {} placed",
          assignment.experts, placement.experts());
  DispatchPlan plan;
  plan.tokens = assignment.tokens;
  auto bin_of = [&](int64_t pair) {
    const ExpertHome home =
        placement.home[static_cast<size_t>(assignment.expert[static_cast<size_t>(pair)])];
    return static_cast<size_t>(home.rank * placement.slots + home.slot);
  };
  counts.assign(static_cast<size_t>(placement.ranks * placement.slots), 0);
  for (int64_t i = 0; i < assignment.pairs(); ++i) {
    counts[bin_of(i)] += assignment.kept[static_cast<size_t>(i)];
  }
  std::vector<int64_t> next = begins(counts);
  const auto rows = static_cast<size_t>(std::reduce(counts.begin(), counts.end()));
  plan.row_token.resize(rows);
  plan.row_pair.resize(rows);
  plan.token_rows.reserve(rows);
  plan.token_offset.assign(1, 0);
  plan.token_offset.reserve(static_cast<size_t>(assignment.tokens) + 1);
  for (int64_t t = 0; t < assignment.tokens; ++t) {
    for (int64_t i = assignment.token_begin[static_cast<size_t>(t)];
         i < assignment.token_begin[static_cast<size_t>(t) + 1]; ++i) {
      if (assignment.kept[static_cast<size_t>(i)] == 0) continue;
      const auto row = static_cast<size_t>(next[bin_of(i)]++);
      plan.row_token[row] = static_cast<int32_t>(t);
      plan.row_pair[row] = static_cast<int32_t>(i);
      plan.token_rows.push_back(static_cast<int32_t>(row));
    }
    plan.token_offset.push_back(static_cast<int32_t>(plan.token_rows.size()));
  }
  plan.send_rows.resize(static_cast<size_t>(placement.ranks));
  for (int64_t r = 0; r < placement.ranks; ++r) {
    const auto first = counts.begin() + r * placement.slots;
    plan.send_rows[static_cast<size_t>(r)] = std::reduce(first, first + placement.slots);
  }
  return plan;
}

void plan_receives(const std::vector<int64_t>& arrived, int64_t slots, DispatchPlan& plan) {
  const int64_t ranks = static_cast<int64_t>(arrived.size()) / slots;
  plan.recv_rows.assign(static_cast<size_t>(ranks), 0);
  plan.expert_rows.assign(static_cast<size_t>(slots), 0);
  for (int64_t r = 0; r < ranks; ++r) {
    for (int64_t s = 0; s < slots; ++s) {
      const int64_t count = arrived[static_cast<size_t>(r * slots + s)];
      require(count >= 0, "{} rows announced by rank {} of the expert group", count, r);
      plan.recv_rows[static_cast<size_t>(r)] += count;
      plan.expert_rows[static_cast<size_t>(s)] += count;
    }
  }
  plan.expert_order.clear();
  if (ranks == 1 || slots == 1) return;
  const std::vector<int64_t> from = begins(arrived);
  plan.expert_order.reserve(static_cast<size_t>(plan.received()));
  for (int64_t s = 0; s < slots; ++s) {
    for (int64_t r = 0; r < ranks; ++r) {
      const auto bin = static_cast<size_t>(r * slots + s);
      for (int64_t i = 0; i < arrived[bin]; ++i) {
        plan.expert_order.push_back(static_cast<int32_t>(from[bin] + i));
      }
    }
  }
}

DispatchPlan make_plan(const Assignment& assignment, const Placement& placement, Communicator& ep,
                       const std::string& site, PhaseClock* clock) {
  require(placement.ranks == ep.size(), "experts placed on {} ranks, the group {} has {}",
          placement.ranks, ep.name(), ep.size());
  std::vector<int64_t> counts;
  DispatchPlan plan = plan_sends(assignment, placement, counts);
  std::vector<int64_t> arrived(counts.size());
  const std::vector<int64_t> one_each(static_cast<size_t>(ep.size()), 1);
  {
    PhaseScope scope(clock, Phase::comm);
    ep.all_to_all(integers(counts, placement.slots), one_each, integers(arrived, placement.slots),
                  one_each, site)
        .wait();
  }
  plan_receives(arrived, placement.slots, plan);
  return plan;
}

}  // namespace troupe
