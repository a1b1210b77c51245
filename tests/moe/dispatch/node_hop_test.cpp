// The hop between nodes on thread ranks, with the dispatcher of each node behind it.
#include "moe/dispatch/node_hop.h"

#include <gtest/gtest.h>

#include <mutex>

#include "core/autograd/tape.h"
#include "core/base/random.h"
#include "moe/dispatch/dispatcher.h"
#include "moe/layer/routed_experts.h"
#include "parallel/comm/thread/thread_world.h"
#include "tests/moe/scaling_experts.h"

namespace troupe {
namespace {

// Each token's experts: distinct, drawn evenly.
SparseAssignment uniform(int rank, int64_t tokens, int64_t experts, int64_t choices) {
  const Random random(31, "node hop");
  SparseAssignment out = empty_assignment(experts);
  for (int64_t t = 0; t < tokens; ++t) {
    std::vector<int32_t> all(static_cast<size_t>(experts));
    for (size_t e = 0; e < all.size(); ++e) all[e] = static_cast<int32_t>(e);
    for (int64_t j = 0; j < choices; ++j) {
      const uint64_t pick =
          random.below(static_cast<uint64_t>(rank * tokens + t), static_cast<uint64_t>(experts - j),
                       static_cast<uint64_t>(j));
      std::swap(all[static_cast<size_t>(j)], all[static_cast<size_t>(j) + pick]);
    }
    all.resize(static_cast<size_t>(choices));
    out.append(all);
  }
  return out;
}

struct Crossing {
  int64_t bytes = 0;        // between nodes, metadata included
  int64_t expert_rows = 0;  // (token, expert) pairs whose expert is on another node
  int64_t rank_rows = 0;    // (token, rank) pairs of ranks on another node
};

// Experts multiply by their number + 1: y of a token is x times the sum of w (e + 1) over its kept
// choices, and so is its gradient; the gradient of a gate weight is (e + 1) times the sum of x.
Crossing run(const std::vector<int>& node, int64_t tokens, int64_t experts, int64_t choices,
             int64_t dim) {
  std::mutex mutex;
  Crossing total;
  const auto ranks = static_cast<int>(node.size());
  run_ranks(ranks, [&](int rank, std::shared_ptr<Communicator> world) {
    const auto device = Device::cpu(1);
    const auto ep = world->split(0, rank, "ep");
    const auto near = world->split(node[static_cast<size_t>(rank)], rank, "near");
    const auto alone = world->split(rank, 0, "etp");
    const Placement placement = Placement::identity(experts, ranks);
    const NodeHop hop(placement, node, *ep, "test");
    const Dispatcher dispatcher(hop.placement_on_node(), {*near, *alone}, "test");
    const int64_t own = rank == 1 ? tokens - 1 : tokens;
    SparseAssignment a = uniform(rank, own, experts, choices);
    a.kept[0] = 0;
    std::vector<double> xs;
    for (int64_t i = 0; i < own * dim; ++i) xs.push_back(static_cast<double>((i * 7 + rank) % 5));
    std::vector<double> ws;
    for (int64_t i = 0; i < a.pairs(); ++i) ws.push_back(static_cast<double>(1 + i % 3));
    std::vector<double> dx;
    std::vector<double> dw;
    const Tensor x = leaf(Tensor::from(xs, Shape{own, dim}, DType::f32, device),
                          [&](Tensor g) { dx = g.values(); });
    a.weight = leaf(Tensor::from(ws, Shape{a.pairs()}, DType::f32, device),
                    [&](Tensor g) { dw = g.values(); });
    const int64_t before = [&] {
      int64_t bytes = 0;
      for (const auto& [key, traffic] : ep->traffic()) bytes += traffic.bytes;
      return bytes;
    }();
    EXPECT_EQ(before, 0);
    const NodeHop::Arrived arrived = hop.out(x, a, nullptr);
    arrived.assignment.check();
    std::vector<double> factor;
    for (int64_t slot = 0; slot < placement.slots; ++slot)
      factor.push_back(static_cast<double>(rank * placement.slots + slot + 1));
    testing::ScalingExperts scaling(factor);
    const PermutedRows rows = dispatcher.permute(arrived.x_AD, arrived.assignment);
    const Tensor done = routed_experts(rows, dispatcher, scaling, nullptr);
    const Tensor y = hop.back(dispatcher.unpermute(done, *rows.plan), *arrived.plan, nullptr);
    const Tensor seed = Tensor::full(y.shape(), DType::f32, 1.0, device);
    backward(std::span(&y, 1), std::span(&seed, 1));
    Crossing mine;
    for (int64_t t = 0; t < own; ++t) {
      double sum = 0.0;
      std::vector<bool> seen(static_cast<size_t>(ranks), false);
      double x_sum = 0.0;
      for (int64_t d = 0; d < dim; ++d) x_sum += xs[static_cast<size_t>(t * dim + d)];
      for (int64_t i = a.token_begin[static_cast<size_t>(t)];
           i < a.token_begin[static_cast<size_t>(t) + 1]; ++i) {
        const auto pair = static_cast<size_t>(i);
        const double kept = a.kept[pair] != 0 ? 1.0 : 0.0;
        const double factor_of = static_cast<double>(a.expert[pair]) + 1.0;
        sum += kept * ws[pair] * factor_of;
        EXPECT_EQ(dw[pair], kept * factor_of * x_sum);
        const auto home =
            static_cast<size_t>(placement.home[static_cast<size_t>(a.expert[pair])].rank);
        if (node[home] == node[static_cast<size_t>(rank)] || kept == 0.0) continue;
        ++mine.expert_rows;
        if (!seen[home]) ++mine.rank_rows;
        seen[home] = true;
      }
      for (int64_t d = 0; d < dim; ++d) {
        EXPECT_EQ(y.values()[static_cast<size_t>(t * dim + d)],
                  sum * xs[static_cast<size_t>(t * dim + d)]);
        EXPECT_EQ(dx[static_cast<size_t>(t * dim + d)], sum);
      }
    }
    // Rows for the own node stay with their rank, so all that counts goes to other nodes.
    for (const auto& [key, traffic] : ep->traffic()) mine.bytes += traffic.bytes;
    const std::lock_guard lock(mutex);
    total.bytes += mine.bytes;
    total.expert_rows += mine.expert_rows;
    total.rank_rows += mine.rank_rows;
  });
  return total;
}

TEST(NodeHop, GivesTheSumOverExpertsWhereverTheyAre) {
  run({0, 0, 1, 1}, 5, 8, 3, 2);
  run({0, 1, 0, 1}, 5, 8, 3, 2);
  run({0, 0, 0, 1}, 5, 8, 3, 2);
  run({0, 1, 2}, 6, 6, 4, 1);
  run({0, 0}, 6, 6, 4, 2);
}

// Top-8 of 64 experts, even routing, two nodes of two ranks: forward and backward, metadata
// counted, against one row for each expert and one for each rank of the other node.
TEST(NodeHop, ATokenCrossesOnce) {
  constexpr int64_t kDim = 64;
  const Crossing crossing = run({0, 0, 1, 1}, 96, 64, 8, kDim);
  const double row_bytes = 4.0 * kDim * sizeof(float);  // there and back, values and gradients
  const double by_expert =
      static_cast<double>(crossing.bytes) / (static_cast<double>(crossing.expert_rows) * row_bytes);
  const double by_rank =
      static_cast<double>(crossing.bytes) / (static_cast<double>(crossing.rank_rows) * row_bytes);
  RecordProperty("bytes_over_expert_rows", std::to_string(by_expert));
  RecordProperty("bytes_over_rank_rows", std::to_string(by_rank));
  EXPECT_LE(by_expert, 0.27);
  EXPECT_GE(by_expert, 0.24);
  EXPECT_LE(by_rank, 0.57);
  std::printf("bytes between nodes over rows by expert %.4f, by rank %.4f\n", by_expert, by_rank);
}

}  // namespace
}  // namespace troupe
