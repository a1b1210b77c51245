// Router st_moe: the second expert.
#include <gtest/gtest.h>

#include <algorithm>
#include <vector>

#include "moe/routers/parts/draws.h"
#include "tests/moe/routers/routed.h"

namespace troupe::testing {
namespace {

// The second expert is kept with probability min(1, weight / threshold), always in evaluation.
TEST(StMoeRouter, KeepsTheSecondExpertAtItsRate) {
  TokenContext batch = whole_batch(20, 100);
  const Tensor x = random_tensor({2000, kDim}, 1);
  const auto router = small_router("st_moe", {{"second_threshold", 0.6}});
  double wanted = 0.0;
  batch.training = false;
  const Routing all = route(*router, batch, x);
  ASSERT_EQ(all.sparse().pairs(), 4000);
  const std::vector<double> w = all.sparse().weight.values();
  for (size_t t = 0; t < 2000; ++t) {
    EXPECT_NEAR(w[2 * t] + w[2 * t + 1], 1.0, 1e-12);
    wanted += std::min(1.0, w[2 * t + 1] / 0.6);
  }
  batch.training = true;
  const Routing drawn = route(*router, batch, x);
  EXPECT_NEAR(static_cast<double>(drawn.sparse().pairs() - 2000), wanted, 60.0);
  EXPECT_EQ(drawn.sparse().first_counts(), all.sparse().first_counts());
  // The weights are those of the pair, also where the second expert was left out.
  const std::vector<double> kept = drawn.sparse().weight.values();
  ASSERT_EQ(kept.size(), drawn.sparse().expert.size());
  for (size_t t = 0; t < 2000; ++t) {
    const auto begin = static_cast<size_t>(drawn.sparse().token_begin[t]);
    const auto end = static_cast<size_t>(drawn.sparse().token_begin[t + 1]);
    ASSERT_GE(end, begin + 1);
    for (size_t i = begin; i < end; ++i) ASSERT_EQ(kept[i], w[2 * t + i - begin]) << "token " << t;
  }
  const auto never = small_router("st_moe", {{"second_threshold", 1e9}});
  EXPECT_EQ(route(*never, batch, x).sparse().pairs(), 2000);
  // 0 = always, also where the second weight is 0.
  const auto always = small_router("st_moe", {{"second_threshold", 0.0}});
  EXPECT_EQ(route(*always, batch, random_tensor({2000, kDim}, 1, 1e4)).sparse().pairs(), 4000);
}

}  // namespace
}  // namespace troupe::testing
