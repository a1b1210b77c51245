// Router switch.
#include <gtest/gtest.h>

#include <algorithm>
#include <vector>

#include "tests/moe/routers/routed.h"

namespace troupe::testing {
namespace {

TEST(SwitchRouter, JittersInTrainingOnlyAndWeighsByProbability) {
  TokenContext batch = whole_batch(1, 8);
  const Tensor x = random_tensor({8, kDim}, 1);
  const auto router = small_router("switch", {{"jitter", 0.3}});
  const auto jittered = route(*router, batch, x).logits_TE.values();
  batch.training = false;
  const Routing plain = route(*router, batch, x);
  EXPECT_NE(jittered, plain.logits_TE.values());
  const std::vector<double> p = plain.probabilities_TE.values();
  const std::vector<double> w = plain.sparse().weight.values();
  for (size_t t = 0; t < 8; ++t) {
    const auto row = p.begin() + static_cast<int64_t>(t) * kExperts;
    EXPECT_EQ(w[t], *std::max_element(row, row + kExperts));
  }
}

}  // namespace
}  // namespace troupe::testing
