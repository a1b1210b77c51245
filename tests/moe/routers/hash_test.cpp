// Router hash: the expert follows the token id.
#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <numeric>
#include <string>
#include <vector>

#include "tests/moe/routers/routed.h"

namespace troupe::testing {
namespace {

TEST(HashRouter, FollowsTheTokenId) {
  const TokenContext batch = whole_batch(2, 16);
  for (const char* kind : {"random", "modulo", "balanced"}) {
    const auto router = small_router("hash", {{"kind", std::string(kind)}});
    const Routing routing = route(*router, batch, random_tensor({32, kDim}, 1));
    std::map<int32_t, int32_t> expert_of;
    for (size_t t = 0; t < 32; ++t) {
      const int32_t id = batch.token_ids.data<int32_t>()[t];
      const int32_t expert = routing.sparse().expert[t];
      EXPECT_EQ(expert_of.emplace(id, expert).first->second, expert);
      if (std::string(kind) == "modulo") {
        EXPECT_EQ(expert, id % kExperts);
      }
    }
    for (const double w : routing.sparse().weight.values()) EXPECT_EQ(w, 1.0);
  }
}

TEST(HashRouter, BalancedSpreadsTheCorpus) {
  std::vector<int64_t> counts(32);
  for (size_t id = 0; id < counts.size(); ++id) counts[id] = static_cast<int64_t>(10000 / (id + 3));
  const auto router = small_router("hash", {{"kind", std::string("balanced")}});
  router->read_corpus(CorpusFacts([&counts] { return counts; }));
  State state;
  router->state(state);
  ASSERT_EQ(state.tensors.size(), 1U);
  const std::vector<int64_t> table = state.tensors[0].tensor.integers();
  std::vector<int64_t> load(kExperts, 0);
  for (size_t id = 0; id < table.size(); ++id) load[static_cast<size_t>(table[id])] += counts[id];
  const double mean =
      static_cast<double>(std::accumulate(counts.begin(), counts.end(), int64_t{0})) / kExperts;
  EXPECT_LT(static_cast<double>(*std::max_element(load.begin(), load.end())), 1.05 * mean);
  // What a checkpoint brings back is what routes.
  for (int i = 0; i < 32; ++i) state.tensors[0].tensor.data<int32_t>()[i] = 5;
  const Routing routing = route(*router, whole_batch(1, 4), random_tensor({4, kDim}, 1));
  EXPECT_EQ(routing.sparse().expert, std::vector<int32_t>(4, 5));
}

// Ids that never occur are spread by number, not sent to one expert.
TEST(HashRouter, BalancedSpreadsIdsThatNeverOccur) {
  State state;
  small_router("hash", {{"kind", std::string("balanced")}})->state(state);
  std::vector<int64_t> ids(kExperts, 0);
  for (const int64_t expert : state.tensors[0].tensor.integers())
    ++ids[static_cast<size_t>(expert)];
  EXPECT_EQ(ids, (std::vector<int64_t>{6, 6, 5, 5, 5, 5}));
}

// The corpus is counted only where a table depends on it, and once for all layers.
TEST(HashRouter, AsksForCountsWhereItReadsThem) {
  int counted = 0;
  const CorpusFacts corpus([&counted] {
    ++counted;
    return std::vector<int64_t>(32, 1);
  });
  small_router("hash", {{"kind", std::string("random")}})->read_corpus(corpus);
  EXPECT_EQ(counted, 0);
  for (const char* layer : {"layers.0", "layers.1"})
    small_router("hash", {{"kind", std::string("balanced")}}, layer)->read_corpus(corpus);
  EXPECT_EQ(counted, 1);
}

TEST(HashRouter, SeedsAndLayersGiveOtherTables) {
  auto table = [](int64_t seed) {
    State state;
    small_router("hash", {{"seed", seed}})->state(state);
    return state.tensors[0].tensor.integers();
  };
  EXPECT_EQ(table(1), table(1));
  EXPECT_NE(table(1), table(2));
  State other;
  small_router("hash", {{"seed", int64_t{1}}}, "layers.1")->state(other);
  EXPECT_NE(table(1), other.tensors[0].tensor.integers());
}

}  // namespace
}  // namespace troupe::testing
