// Rows to their experts and back on thread ranks.
#include "moe/dispatch/dispatcher.h"

#include <gtest/gtest.h>

#include <cmath>

#include "core/autograd/tape.h"
#include "core/base/random.h"
#include "moe/layer/routed_experts.h"
#include "parallel/comm/thread/thread_world.h"
#include "tests/moe/scaling_experts.h"

namespace troupe {
namespace {

constexpr int64_t kTokens = 7;
constexpr int64_t kDim = 3;
constexpr int64_t kExperts = 6;

SparseAssignment assignment_of(int rank) {
  const Random random(9, "dispatcher");
  SparseAssignment out = empty_assignment(kExperts);
  for (int64_t t = 0; t < kTokens; ++t) {
    const auto first =
        static_cast<int32_t>(random.below(static_cast<uint64_t>(rank * kTokens + t), kExperts));
    out.append(std::vector<int32_t>{first, static_cast<int32_t>((first + 2) % kExperts)});
  }
  out.kept[3] = 0;
  return out;
}

// Pair i has gate weight i, two pairs a token; pair 3 is dropped.
double kept_weight(int64_t token) {
  const auto first = static_cast<double>(2 * token);
  return token == 1 ? first : 2.0 * first + 1.0;
}

// Experts that change nothing: a token gets itself by the weights of its kept choices; its gradient
// likewise.
TEST(Dispatcher, TokensComeBackWithTheWeightsOfTheirKeptChoices) {
  for (const int ranks : {1, 2, 3}) {
    run_ranks(ranks, [&](int rank, std::shared_ptr<Communicator> world) {
      const auto device = Device::cpu(1);
      const auto alone = world->split(rank, 0, "etp");
      const Dispatcher dispatcher(Placement::identity(kExperts, ranks), {*world, *alone}, "test");
      SparseAssignment assignment = assignment_of(rank);
      std::vector<double> values;
      for (int64_t i = 0; i < kTokens * kDim; ++i)
        values.push_back(static_cast<double>(rank * 1000 + i));
      std::vector<double> weights;
      for (int64_t i = 0; i < assignment.pairs(); ++i) weights.push_back(static_cast<double>(i));
      Tensor dx;
      Tensor dw;
      const Tensor x = leaf(Tensor::from(values, Shape{kTokens, kDim}, DType::f64, device),
                            [&](Tensor g) { dx = g; });
      assignment.weight = leaf(Tensor::from(weights, Shape{assignment.pairs()}, DType::f64, device),
                               [&](Tensor g) { dw = g; });
      testing::ScalingExperts experts(std::vector<double>(kExperts / ranks, 1.0));
      const PermutedRows leaving = dispatcher.permute(x, assignment);
      const Tensor y = dispatcher.unpermute(routed_experts(leaving, dispatcher, experts, nullptr),
                                            *leaving.plan);
      for (int64_t t = 0; t < kTokens; ++t) {
        for (int64_t d = 0; d < kDim; ++d) {
          EXPECT_EQ(y.values()[static_cast<size_t>(t * kDim + d)],
                    kept_weight(t) * values[static_cast<size_t>(t * kDim + d)]);
        }
      }
      // Gate weights go with their rows, and their gradients come back.
      const Tensor seed = Tensor::from(values, y.shape(), DType::f64, device);
      backward(std::span(&y, 1), std::span(&seed, 1));
      for (size_t i = 0; i < dw.values().size(); ++i) {
        double squares = 0.0;
        for (size_t d = 0; d < kDim; ++d) squares += std::pow(values[i / 2 * kDim + d], 2);
        EXPECT_EQ(dw.values()[i], assignment.kept[i] != 0 ? squares : 0.0);
      }
      for (size_t i = 0; i < values.size(); ++i)
        EXPECT_EQ(dx.values()[i], kept_weight(static_cast<int64_t>(i) / kDim) * values[i]);
    });
  }
}

// What crosses the ranks: counts once, rows and gate weights each way, nothing for a lone rank.
TEST(Dispatcher, CountsItsTraffic) {
  for (const int ranks : {1, 2}) {
    run_ranks(ranks, [&](int rank, std::shared_ptr<Communicator> world) {
      const auto device = Device::cpu(1);
      const auto alone = world->split(rank, 0, "etp");
      const Dispatcher dispatcher(Placement::identity(kExperts, ranks), {*world, *alone}, "test");
      SparseAssignment assignment = assignment_of(rank);
      assignment.weight = Tensor::full(Shape{assignment.pairs()}, DType::f64, 1.0, device);
      const Tensor x = Tensor::full(Shape{kTokens, kDim}, DType::f64, 1.0, device);
      testing::ScalingExperts experts(std::vector<double>(kExperts / ranks, 1.0));
      const PermutedRows rows = dispatcher.permute(x, assignment);
      routed_experts(rows, dispatcher, experts, nullptr);
      auto bytes = [&](const std::string& site) {
        const auto found = world->traffic().find({CollectiveKind::all_to_all, site});
        return found == world->traffic().end() ? int64_t{-1} : found->second.bytes;
      };
      const int64_t sent =
          ranks == 1 ? 0 : rows.plan->chunks[0].send_rows[static_cast<size_t>(1 - rank)];
      const int64_t received =
          ranks == 1 ? 0 : rows.plan->chunks[0].recv_rows[static_cast<size_t>(1 - rank)];
      EXPECT_EQ(bytes("test counts"), ranks == 1 ? 0 : 8 * kExperts / ranks);
      EXPECT_EQ(bytes("test dispatch"), ranks == 1 ? -1 : sent * kDim * 8);
      EXPECT_EQ(bytes("test gate weights"), ranks == 1 ? -1 : sent * 8);
      EXPECT_EQ(bytes("test combine"), ranks == 1 ? -1 : received * kDim * 8);
    });
  }
}

}  // namespace
}  // namespace troupe
