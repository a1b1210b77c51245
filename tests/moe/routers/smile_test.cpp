// Router smile: a group, then experts in it.
#include <gtest/gtest.h>

#include <vector>

#include "tests/moe/routers/routed.h"

namespace troupe::testing {
namespace {

// A token's experts lie in its most probable group, the best ones there; its weights are products.
TEST(SmileRouter, ChoosesAGroupThenExpertsInIt) {
  const TokenContext batch = whole_batch(2, 16);
  const Tensor x = random_tensor({32, kDim}, 1);
  for (const bool renormalize : {true, false}) {
    const auto router =
        small_router("smile", {{"groups", int64_t{2}}, {"renormalize", renormalize}});
    const Routing routing = route(*router, batch, x);
    ASSERT_EQ(routing.levels.size(), 2U);
    const std::vector<double> p = routing.levels[0].probabilities_TB.values();
    const std::vector<double> q = routing.levels[1].probabilities_TB.values();
    const std::vector<double> joint = routing.probabilities_TE.values();
    const std::vector<double> w = routing.sparse().weight.values();
    ASSERT_EQ(w.size(), 64U);
    std::vector<int64_t> groups(2, 0);
    for (size_t t = 0; t < 32; ++t) {
      for (size_t e = 0; e < 6; ++e)
        EXPECT_NEAR(joint[t * 6 + e], p[t * 2 + e / 3] * q[t * 3 + e % 3], 1e-14);
      const auto group = p[t * 2] >= p[t * 2 + 1] ? size_t{0} : size_t{1};
      ++groups[group];
      double sum = 0.0;
      for (size_t i = 2 * t; i < 2 * t + 2; ++i) {
        const auto e = static_cast<size_t>(routing.sparse().expert[i]);
        EXPECT_EQ(e / 3, group);
        sum += q[t * 3 + e % 3];
      }
      for (size_t i = 2 * t; i < 2 * t + 2; ++i) {
        const auto e = static_cast<size_t>(routing.sparse().expert[i]);
        EXPECT_NEAR(w[i], p[t * 2 + group] * q[t * 3 + e % 3] / (renormalize ? sum : 1.0), 1e-14);
        const auto left = static_cast<size_t>(3 - routing.sparse().expert[2 * t] % 3 -
                                              routing.sparse().expert[2 * t + 1] % 3);
        EXPECT_GE(q[t * 3 + e % 3], q[t * 3 + left]);
      }
    }
    EXPECT_GT(groups[0] * groups[1], 0);
  }
}

TEST(SmileRouter, SaysWhatDoesNotFit) {
  const RouterDescriptor& smile = *find_router("smile");
  Options options(smile.fields);
  options.set("groups", int64_t{4});
  EXPECT_EQ(smile.problem(options, 6),
            "router.groups must divide the experts: 6 = 1 x 4 + 2; legal values: 1, 2, 3, 6");
  options.set("groups", int64_t{3});
  options.set("top_k", int64_t{3});
  EXPECT_EQ(smile.problem(options, 6),
            "router.top_k must be at most the experts of a group, 6 / 3 = 2: it is 3; nearest "
            "legal value: 2");
}

}  // namespace
}  // namespace troupe::testing
