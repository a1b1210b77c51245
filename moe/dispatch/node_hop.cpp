#include "moe/dispatch/node_hop.h"

#include <algorithm>
#include <numeric>

#include "core/base/error.h"
#include "core/ops/rows.h"
#include "core/ops/view.h"
#include "moe/dispatch/exchange.h"
#include "moe/dispatch/row_order.h"

namespace troupe {
namespace {

template <typename T>
View rows_view(std::vector<T>& values, int64_t columns) {
  const int64_t rows = static_cast<int64_t>(values.size()) / columns;
  return View{values.data(), DTypeOf<T>::value, Shape{rows, columns}, Shape{columns, 1}};
}

int64_t sum(const std::vector<int64_t>& values) {
  return std::accumulate(values.begin(), values.end(), int64_t{0});
}

}  // namespace

int node_gateway(const std::vector<int>& node, int rank, int to) {
  const int from = node[static_cast<size_t>(rank)];
  const auto place = std::count(node.begin(), node.begin() + rank, from);
  const auto there = std::count(node.begin(), node.end(), to);
  int64_t skip = place % there;
  for (size_t r = 0; r < node.size(); ++r) {
    if (node[r] == to && skip-- == 0) return static_cast<int>(r);
  }
  return -1;  // no rank is on that node
}

int64_t NodePlan::arrivals() const { return sum(recv_rows); }

NodeHop::NodeHop(Placement placement, std::vector<int> node, Communicator& ep, std::string site)
    : placement_(std::move(placement)), node_(std::move(node)), ep_(ep), site_(std::move(site)) {
  require(static_cast<int>(node_.size()) == ep_.size(), "{} ranks on nodes, the group has {}",
          node_.size(), ep_.size());
  const int nodes = *std::max_element(node_.begin(), node_.end()) + 1;
  ranks_.resize(static_cast<size_t>(nodes));
  experts_.resize(static_cast<size_t>(nodes));
  for (int rank = 0; rank < ep_.size(); ++rank)
    ranks_[static_cast<size_t>(node_[static_cast<size_t>(rank)])].push_back(rank);
  for (const ExpertHome& home : placement_.home) {
    auto& there = experts_[static_cast<size_t>(node_[static_cast<size_t>(home.rank)])];
    const auto expert = static_cast<int32_t>(place_.size());
    place_.push_back(static_cast<int32_t>(there.size()));
    there.push_back(expert);
  }
  // A rank exchanges rows with the gateways alone: the hop is there to save messages.
  std::vector<char> partners(node_.size(), 0);
  for (int rank = 0; rank < ep_.size(); ++rank) {
    const auto r = static_cast<size_t>(rank);
    const bool sends = gateway(ep_.rank(), node_[r]) == rank;
    const bool gets = gateway(rank, node_[static_cast<size_t>(ep_.rank())]) == ep_.rank();
    partners[r] = sends || gets ? 1 : 0;
  }
  ep_.set_partners(std::move(partners));
}

int64_t NodeHop::mark_bytes() const {
  size_t most = 0;
  for (const auto& experts : experts_) most = std::max(most, experts.size());
  return static_cast<int64_t>(most + 7) / 8;
}

int NodeHop::gateway(int rank, int node) const { return node_gateway(node_, rank, node); }

Placement NodeHop::placement_on_node() const {
  const int own = node_[static_cast<size_t>(ep_.rank())];
  const auto& ranks = ranks_[static_cast<size_t>(own)];
  Placement out = placement_;
  out.ranks = static_cast<int64_t>(ranks.size());
  for (ExpertHome& home : out.home) {
    const auto found = std::find(ranks.begin(), ranks.end(), home.rank);
    home.rank = found == ranks.end() ? -1 : static_cast<int32_t>(found - ranks.begin());
  }
  return out;
}

NodePlan NodeHop::plan_sends(const SparseAssignment& assignment) const {
  NodePlan plan;
  const auto ranks = static_cast<size_t>(ep_.size());
  const auto bytes = static_cast<size_t>(mark_bytes());
  // What each taking rank gets, in the order of tokens.
  struct Share {
    std::vector<int32_t> tokens, pairs;
    std::vector<uint8_t> marks;
  };
  std::vector<Share> shares(ranks);
  std::vector<size_t> gateways;  // of each node
  for (size_t node = 0; node < ranks_.size(); ++node)
    gateways.push_back(static_cast<size_t>(gateway(ep_.rank(), static_cast<int>(node))));
  std::vector<std::pair<int32_t, int32_t>> here;  // (place on the node, pair)
  for (int64_t t = 0; t < assignment.tokens; ++t) {
    const int64_t begin = assignment.token_begin[static_cast<size_t>(t)];
    const int64_t end = assignment.token_begin[static_cast<size_t>(t) + 1];
    for (size_t node = 0; node < ranks_.size(); ++node) {
      here.clear();
      for (int64_t i = begin; i < end; ++i) {
        const auto expert = static_cast<size_t>(assignment.expert[static_cast<size_t>(i)]);
        const auto rank = static_cast<size_t>(placement_.home[expert].rank);
        if (assignment.kept[static_cast<size_t>(i)] != 0 && node_[rank] == static_cast<int>(node))
          here.emplace_back(place_[expert], static_cast<int32_t>(i));
      }
      if (here.empty()) continue;
      std::sort(here.begin(), here.end());
      Share& share = shares[gateways[node]];
      share.tokens.push_back(static_cast<int32_t>(t));
      share.marks.resize(share.marks.size() + bytes, 0);
      for (const auto& [place, pair] : here) {
        share.marks[share.marks.size() - bytes + static_cast<size_t>(place / 8)] |=
            static_cast<uint8_t>(1U << static_cast<unsigned>(place % 8));
        share.pairs.push_back(pair);
      }
    }
  }
  for (const Share& share : shares) {
    plan.send_rows.push_back(static_cast<int64_t>(share.tokens.size()));
    plan.send_pairs.push_back(static_cast<int64_t>(share.pairs.size()));
    plan.row_token.insert(plan.row_token.end(), share.tokens.begin(), share.tokens.end());
    plan.pairs.insert(plan.pairs.end(), share.pairs.begin(), share.pairs.end());
    plan.marks.insert(plan.marks.end(), share.marks.begin(), share.marks.end());
  }
  std::vector<std::vector<int32_t>> rows_of(static_cast<size_t>(assignment.tokens));
  for (size_t row = 0; row < plan.row_token.size(); ++row)
    rows_of[static_cast<size_t>(plan.row_token[row])].push_back(static_cast<int32_t>(row));
  plan.token_offset.assign(1, 0);
  for (const auto& rows : rows_of) {
    plan.token_rows.insert(plan.token_rows.end(), rows.begin(), rows.end());
    plan.token_offset.push_back(static_cast<int32_t>(plan.token_rows.size()));
  }
  return plan;
}

// Only between ranks that send each other rows.
void NodeHop::exchange_counts(NodePlan& plan) const {
  const auto ranks = static_cast<size_t>(ep_.size());
  std::vector<int64_t> to(ranks, 0);
  std::vector<int64_t> from(ranks, 0);
  for (size_t node = 0; node < ranks_.size(); ++node)
    to[static_cast<size_t>(gateway(ep_.rank(), static_cast<int>(node)))] = 1;
  const int own = node_[static_cast<size_t>(ep_.rank())];
  for (size_t rank = 0; rank < ranks; ++rank)
    from[rank] = gateway(static_cast<int>(rank), own) == ep_.rank() ? 1 : 0;
  std::vector<int64_t> sent;
  for (size_t rank = 0; rank < ranks; ++rank) {
    if (to[rank] == 0) continue;
    sent.push_back(plan.send_rows[rank]);
    sent.push_back(plan.send_pairs[rank]);
  }
  std::vector<int64_t> arrived(static_cast<size_t>(2 * sum(from)));
  ep_.all_to_all(rows_view(sent, 2), to, rows_view(arrived, 2), from,
                 site_ + " between nodes counts")
      .finish();
  size_t at = 0;
  for (size_t rank = 0; rank < ranks; ++rank) {
    plan.recv_rows.push_back(from[rank] != 0 ? arrived[at] : 0);
    plan.recv_pairs.push_back(from[rank] != 0 ? arrived[at + 1] : 0);
    if (from[rank] != 0) at += 2;
  }
}

SparseAssignment NodeHop::arrived_assignment(const NodePlan& plan) const {
  const int64_t bytes = mark_bytes();
  std::vector<uint8_t> sent = plan.marks;
  std::vector<uint8_t> marks(static_cast<size_t>(plan.arrivals() * bytes));
  ep_.all_to_all(rows_view(sent, bytes), plan.send_rows, rows_view(marks, bytes), plan.recv_rows,
                 site_ + " between nodes experts")
      .finish();
  const auto& experts = experts_[static_cast<size_t>(node_[static_cast<size_t>(ep_.rank())])];
  SparseAssignment out = empty_assignment(placement_.experts());
  std::vector<int32_t> chosen;
  for (int64_t row = 0; row < plan.arrivals(); ++row) {
    chosen.clear();
    for (size_t place = 0; place < experts.size(); ++place) {
      const uint8_t byte = marks[static_cast<size_t>(row * bytes) + place / 8];
      if ((byte >> (place % 8) & 1U) != 0) chosen.push_back(experts[place]);
    }
    out.append(chosen);
  }
  require(out.pairs() == sum(plan.recv_pairs), "{}: {} experts marked, {} gate weights announced",
          site_, out.pairs(), sum(plan.recv_pairs));
  return out;
}

NodeHop::Arrived NodeHop::out(const Tensor& x_TD, const SparseAssignment& assignment,
                              PhaseClock* clock) const {
  require(x_TD.dim(0) == assignment.tokens, "{} tokens assigned, {} given", assignment.tokens,
          x_TD.dim(0));
  PhaseScope scope(clock, Phase::dispatch);
  const auto plan = std::make_shared<NodePlan>(plan_sends(assignment));
  Arrived out;
  {
    PhaseScope waiting(clock, Phase::comm);
    exchange_counts(*plan);
    out.assignment = arrived_assignment(*plan);
  }
  const auto& device = x_TD.device();
  const RowLists uses{index_tensor(plan->token_offset, device),
                      index_tensor(plan->token_rows, device)};
  const Tensor& weight = assignment.weight;
  const Tensor w = cast(reshape(weight, Shape{weight.dim(0), 1}), wide(x_TD.dtype()));
  out.x_AD = exchange_rows(spread_rows(x_TD, index_tensor(plan->row_token, device), uses),
                           plan->send_rows, plan->recv_rows, ep_, site_ + " between nodes", clock);
  const Tensor w_P1 =
      exchange_rows(gather_rows(w, index_tensor(plan->pairs, device)), plan->send_pairs,
                    plan->recv_pairs, ep_, site_ + " between nodes gate weights", clock);
  out.assignment.weight = reshape(w_P1, Shape{w_P1.dim(0)});
  out.plan = plan;
  charge_backward(std::vector<Tensor>{out.x_AD, out.assignment.weight},
                  std::vector<Tensor>{x_TD, weight}, clock, Phase::dispatch);
  return out;
}

Tensor NodeHop::back(const Tensor& rows_AD, const NodePlan& plan, PhaseClock* clock) const {
  PhaseScope scope(clock, Phase::dispatch);
  const Tensor rows = exchange_rows(rows_AD, plan.recv_rows, plan.send_rows, ep_,
                                    site_ + " between nodes combine", clock);
  const RowLists lists{index_tensor(plan.token_offset, rows.device()),
                       index_tensor(plan.token_rows, rows.device())};
  Tensor out = combine_rows(rows, lists);
  charge_backward(std::span<const Tensor>(&out, 1), std::span<const Tensor>(&rows_AD, 1), clock,
                  Phase::dispatch);
  return out;
}

}  // namespace troupe
