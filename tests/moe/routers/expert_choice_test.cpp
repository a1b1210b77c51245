// Router expert_choice: experts choose tokens.
#include <gtest/gtest.h>

#include <algorithm>
#include <vector>

#include "tests/moe/routers/routed.h"

namespace troupe::testing {
namespace {

TEST(ExpertChoiceRouter, EveryExpertTakesItsShareOfEachGroup) {
  TokenContext batch = whole_batch(3, 8);
  pad(batch, {6, 7, 16, 17, 18, 19, 20, 21, 22, 23});
  const Tensor x = random_tensor({24, kDim}, 1);
  const Routing routing = route(*small_router("expert_choice"), batch, x);
  const std::vector<double> p = routing.probabilities_TE.values();
  for (int64_t b = 0; b < 3; ++b) {
    const int64_t valid = b == 0 ? 6 : b == 1 ? 8 : 0;
    const int64_t share = static_cast<int64_t>(std::ceil(1.5 * static_cast<double>(valid) / 6));
    const SparseAssignment part = slice_tokens(routing.sparse(), b * 8, b * 8 + 8);
    EXPECT_EQ(part.selected_counts(), std::vector<int64_t>(kExperts, share));
    // No token that was left out scores above one that was taken.
    for (int32_t e = 0; e < kExperts; ++e) {
      double least_taken = 2.0;
      double most_left = -1.0;
      for (int64_t t = 0; t < 8; ++t) {
        if (!batch.is_valid(b * 8 + t)) continue;
        const auto begin = part.expert.begin() + part.token_begin[static_cast<size_t>(t)];
        const auto end = part.expert.begin() + part.token_begin[static_cast<size_t>(t) + 1];
        const double score = p[static_cast<size_t>((b * 8 + t) * kExperts + e)];
        if (std::find(begin, end, e) != end) {
          least_taken = std::min(least_taken, score);
        } else {
          most_left = std::max(most_left, score);
        }
      }
      EXPECT_GE(least_taken, most_left);
    }
  }
}

// Across the batch the choice at a position does not change with what comes later.
TEST(ExpertChoiceRouter, AcrossTheBatchIsCausal) {
  const TokenContext batch = whole_batch(4, 6);
  const Tensor x = random_tensor({24, kDim}, 1);
  Tensor changed = Tensor::from(x.values(), x.shape(), x.dtype(), x.device());
  for (int64_t b = 0; b < 4; ++b) {
    for (int64_t i = 0; i < kDim; ++i) changed.data<double>()[(b * 6 + 5) * kDim + i] = 9.0;
  }
  for (const bool across : {true, false}) {
    const GroupRule rule{across ? GroupRule::Kind::across_batch : GroupRule::Kind::sequence, 0, 2};
    EXPECT_EQ(sees_the_future(rule), !across);
    const Groups groups = make_groups(rule, batch);
    const auto router = small_router("expert_choice");
    const auto a = router->route({x, batch, &groups, 2.0, {}, {}, {}, {}}, nullptr).sparse();
    const auto b = router->route({changed, batch, &groups, 2.0, {}, {}, {}, {}}, nullptr).sparse();
    bool same_before = true;
    for (int64_t s = 0; s < 4; ++s) {
      same_before =
          same_before &&
          slice_tokens(a, s * 6, s * 6 + 5).same_routing(slice_tokens(b, s * 6, s * 6 + 5));
    }
    EXPECT_EQ(same_before, across);
  }
}

}  // namespace
}  // namespace troupe::testing
