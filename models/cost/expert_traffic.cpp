#include "models/cost/expert_traffic.h"

#include <algorithm>
#include <cmath>
#include <numeric>

#include "models/parts/routed_rows.h"
#include "moe/dispatch/node_hop.h"
#include "moe/routers/table.h"

namespace troupe {
namespace {

using Counts = std::vector<int64_t>;

int64_t sum(const Counts& counts) {
  return std::accumulate(counts.begin(), counts.end(), int64_t{0});
}

// Tokens of a micro-batch that a rank routes.
int64_t own_tokens(const CostInputs& config, int rank) {
  const MeshShape& shape = config.parallel.shape;
  const int64_t rows = config.micro_batch * config.model.seq_len / std::max(1, shape[Axis::cp]);
  const int tp = shape[Axis::tp];
  const int at = coordinates(shape, rank)[static_cast<size_t>(Axis::tp)];
  return rows * (at + 1) / tp - rows * at / tp;
}

double choose(int64_t n, int64_t k) {
  if (k < 0 || k > n) return 0.0;
  double out = 1.0;
  for (int64_t i = 1; i <= k; ++i) out *= static_cast<double>(n - k + i) / static_cast<double>(i);
  return out;
}

// The chance that none of `here` of `all` experts gets a token that chooses k of them, where a
// choice is kept with chance `kept`.
double chance_of_none(int64_t all, int64_t here, int64_t k, double kept) {
  double chance = 0.0;
  for (int64_t j = 0; j <= std::min(k, here); ++j)
    chance += choose(here, j) * choose(all - here, k - j) / choose(all, k) * std::pow(1 - kept, j);
  return chance;
}

class ExpertTraffic {
 public:
  ExpertTraffic(const CostInputs& config, const MoEConfig& moe, int rank, int64_t forwards,
                int64_t times, Outgoing& out)
      : config_(config),
        moe_(moe),
        shape_(config.parallel.shape),
        forwards_(forwards),
        times_(times),
        out_(out),
        ep_(rank_group(shape_, rank, {Axis::ep})),
        etp_(rank_group(shape_, rank, {Axis::etp})),
        slots_(moe.experts / shape_[Axis::ep]),
        row_(config.model.dim * static_cast<int64_t>(size_of(config.model.compute))),
        weight_(static_cast<int64_t>(size_of(wide(config.model.compute)))) {
    std::vector<int> all;
    for (int r = 0; r < shape_.world(); ++r) all.push_back(given_node(config.parallel, r));
    nodes_ = ep_nodes(config.parallel, all, rank);
    tokens_ = config.micro_batch * config.model.seq_len;
    pairs_ = routed_rows(moe, config.micro_batch, config.model.seq_len);
  }

  void all() {
    if (*std::max_element(nodes_.begin(), nodes_.end()) == 0) {
      Counts pairs;  // that come from each rank of ep
      for (const int rank : ep_.ranks) pairs.push_back(share(pairs_, rank));
      spread(ep_, pairs);
    } else {
      between_nodes();
    }
  }

 private:
  void add(const char* part, const RankGroup& group, Counts to) {
    for (int64_t& bytes : to) bytes *= times_;
    out_.add(part, group, to);
  }
  void add_each(const char* part, const RankGroup& group, int64_t bytes) {
    out_.add_each(part, group, times_ * bytes);
  }
  // What a rank's tokens have of something that the whole micro-batch has.
  int64_t share(int64_t of_all, int rank) const {
    return of_all * own_tokens(config_, rank) / tokens_;
  }

  // Each rank of the group has so many pairs to spread evenly over its experts, and gets as many
  // results back; in backward both ways once more.
  void spread(const RankGroup& group, const Counts& pairs) {
    const int64_t n = group.size();
    const int64_t own = pairs[static_cast<size_t>(group.place)];
    Counts rows;
    Counts weights;
    for (const int64_t theirs : pairs) {
      rows.push_back((forwards_ + 1) * (own / n + theirs / n) * row_);
      weights.push_back((forwards_ * (own / n) + theirs / n) * weight_);
    }
    add_each("row counts", group, forwards_ * slots_ * 8);
    add("rows to and from experts", group, rows);
    add("gate weights", group, weights);
    // All parts of an expert get all rows of all of them.
    const int64_t here = sum(pairs) / n;
    add_each("row counts", etp_, forwards_ * n * slots_ * 8);
    add_each("rows to and from experts", etp_, 2 * (forwards_ + 1) * here * row_);
    add_each("gate weights", etp_, (forwards_ + 1) * here * weight_);
  }

  // Of the tokens of a micro-batch, how many have a row for a node, and how many pairs.
  int64_t rows_for(int node) const {
    const RouterDescriptor& router = router_named(moe_.router);
    const double k = static_cast<double>(router.choices(moe_.router_options));
    if (k == 0) {  // experts choose
      const double each = static_cast<double>(pairs_) / static_cast<double>(tokens_ * moe_.experts);
      const double none =
          std::pow(1 - each, static_cast<double>(experts_on(node, 0, moe_.experts)));
      return std::llround(static_cast<double>(tokens_) * (1 - none));
    }
    const double kept = static_cast<double>(pairs_) / (static_cast<double>(tokens_) * k);
    const int64_t groups = router_groups(router, moe_.router_options);
    const int64_t size = moe_.experts / groups;
    double none = 0.0;
    for (int64_t g = 0; g < groups; ++g) {
      none += chance_of_none(size, experts_on(node, g * size, (g + 1) * size),
                             static_cast<int64_t>(k), kept) /
              static_cast<double>(groups);
    }
    return std::llround(static_cast<double>(tokens_) * (1 - none));
  }
  int64_t experts_on(int node, int64_t begin, int64_t end) const {
    int64_t count = 0;
    for (int64_t e = begin; e < end; ++e)
      count += nodes_[static_cast<size_t>(e / slots_)] == node ? 1 : 0;
    return count;
  }

  void between_nodes() {
    const auto ranks = static_cast<size_t>(ep_.size());
    const auto me = static_cast<size_t>(ep_.place);
    const int nodes = *std::max_element(nodes_.begin(), nodes_.end()) + 1;
    int64_t most = 0;
    for (int node = 0; node < nodes; ++node)
      most = std::max(most, experts_on(node, 0, moe_.experts));
    const int64_t marks = (most + 7) / 8;
    Counts counts(ranks, 0);
    Counts marked(ranks, 0);
    Counts rows(ranks, 0);
    Counts weights(ranks, 0);
    Counts arrived(ranks, 0);  // pairs that each rank of ep takes for its node
    for (int node = 0; node < nodes; ++node) {
      const int64_t crossing = rows_for(node);
      const int64_t pairs = pairs_ * experts_on(node, 0, moe_.experts) / moe_.experts;
      for (size_t from = 0; from < ranks; ++from) {
        const auto to = static_cast<size_t>(node_gateway(nodes_, static_cast<int>(from), node));
        const int64_t x = share(crossing, ep_.ranks[from]);
        const int64_t w = share(pairs, ep_.ranks[from]);
        arrived[to] += w;
        if (from == me) {  // out, and the gradient of the way back
          counts[to] += 16 * forwards_;
          marked[to] += forwards_ * x * marks;
          rows[to] += (forwards_ + 1) * x * row_;
          weights[to] += forwards_ * w * weight_;
        }
        if (to == me) {  // back, and the gradient of the way out
          rows[from] += (forwards_ + 1) * x * row_;
          weights[from] += w * weight_;
        }
      }
    }
    add("row counts", ep_, counts);
    add("marks of experts", ep_, marked);
    add("rows to and from experts", ep_, rows);
    add("gate weights", ep_, weights);
    RankGroup here{"ep on a node", {}, 0};
    Counts pairs;
    for (size_t r = 0; r < ranks; ++r) {
      if (nodes_[r] != nodes_[me]) continue;
      if (r == me) here.place = here.size();
      here.ranks.push_back(ep_.ranks[r]);
      pairs.push_back(arrived[r]);
    }
    spread(here, pairs);
  }

  const CostInputs& config_;
  const MoEConfig& moe_;
  const MeshShape& shape_;
  int64_t forwards_;
  int64_t times_;
  Outgoing& out_;
  RankGroup ep_;
  RankGroup etp_;
  int64_t slots_;           // experts of a rank
  int64_t row_;             // bytes
  int64_t weight_;          // bytes
  std::vector<int> nodes_;  // of the ranks of ep
  int64_t tokens_ = 0;      // of a micro-batch
  int64_t pairs_ = 0;       // of them and their experts
};

}  // namespace

void add_expert_traffic(const CostInputs& config, const MoEConfig& moe, int rank, int64_t forwards,
                        int64_t times, Outgoing& out) {
  const MeshShape& shape = config.parallel.shape;
  if (shape[Axis::ep] * shape[Axis::etp] == 1) return;
  ExpertTraffic(config, moe, rank, forwards, times, out).all();
}

}  // namespace troupe
