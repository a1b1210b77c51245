// The bias that balances experts is added to scores.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <map>
#include <string>
#include <vector>

#include "tests/moe/routers/routed.h"

namespace troupe::testing {
namespace {

// The bias is added to scores between 0 and 1, not to logits.
TEST(SelectionBias, IsAddedToScores) {
  const TokenContext batch = whole_batch(4, 16);
  const Tensor x = random_tensor({64, kDim}, 1, 0.5);
  for (const std::string kind : {"softmax", "softmax_after", "sigmoid", "switch"}) {
    std::map<std::string, FieldValue> options{{"bias_update", 0.125}};
    if (kind != "switch") {
      options["score"] = kind;
      options["top_k"] = int64_t{1};
    }
    const auto router = small_router(kind == "switch" ? "switch" : "topk", options);
    router->after_step(std::vector<int64_t>{1, 0, 3, 1, 3, 0});  // mean 8/6
    const std::vector<double> bias{0.125, 0.125, -0.125, 0.125, -0.125, 0.125};
    const Routing routing = route(*router, batch, x);
    const std::vector<double> logits = routing.logits_TE.values();
    int by_logits = 0;
    for (size_t t = 0; t < 64; ++t) {
      std::vector<double> score(kExperts);
      std::vector<double> plain(kExperts);
      double sum = 0.0;
      for (size_t e = 0; e < kExperts; ++e) sum += std::exp(logits[t * kExperts + e]);
      for (size_t e = 0; e < kExperts; ++e) {
        const double z = logits[t * kExperts + e];
        score[e] = (kind == "sigmoid" ? 1.0 / (1.0 + std::exp(-z)) : std::exp(z) / sum) + bias[e];
        plain[e] = z + bias[e];
      }
      const auto best = std::max_element(score.begin(), score.end()) - score.begin();
      EXPECT_EQ(routing.sparse().expert[t], best) << kind << ", token " << t;
      by_logits += std::max_element(plain.begin(), plain.end()) - plain.begin() == best ? 1 : 0;
    }
    EXPECT_LT(by_logits, 64) << kind << ": adding to logits would choose the same";
  }
}

}  // namespace
}  // namespace troupe::testing
