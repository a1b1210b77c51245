// Router topk: scores, noise, and a bias that only selects.
#include <gtest/gtest.h>

#include <cmath>
#include <string>
#include <vector>

#include "moe/routers/parts/draws.h"
#include "tests/moe/routers/routed.h"

namespace troupe::testing {
namespace {

TEST(TopkRouter, WeightsOfTheScoreVariants) {
  const TokenContext batch = whole_batch(1, 8);
  const Tensor x = random_tensor({8, kDim}, 1);
  const auto plain = route(*small_router("topk", {{"renormalize", false}}), batch, x);
  const auto normal = route(*small_router("topk"), batch, x);
  const auto after =
      route(*small_router("topk", {{"score", std::string("softmax_after")}}), batch, x);
  const auto sigmoid =
      route(*small_router("topk", {{"score", std::string("sigmoid")}, {"scale", 2.5}}), batch, x);
  for (int64_t t = 0; t < 8; ++t) {
    EXPECT_LT(token_weight(plain, t), 1.0);
    EXPECT_NEAR(token_weight(normal, t), 1.0, 1e-12);
    EXPECT_NEAR(token_weight(sigmoid, t), 2.5, 1e-12);
  }
  // Renormalising a softmax over all is a softmax over the chosen ones.
  EXPECT_LT(testing::relative_difference(normal.sparse().weight, after.sparse().weight), 1e-12);
  const std::vector<double> s = sigmoid.sparse().weight.values();
  const std::vector<double> logits = sigmoid.logits_TE.values();
  auto score = [&](int pair) {
    return 1.0 /
           (1.0 +
            std::exp(
                -logits[static_cast<size_t>(sigmoid.sparse().expert[static_cast<size_t>(pair)])]));
  };
  EXPECT_NEAR(s[0] / s[1], score(0) / score(1), 1e-12);
}

// Balance terms read rows that sum to 1, however far below zero the logits lie.
TEST(TopkRouter, ProbabilitiesOfSigmoidsSumToOne) {
  const TokenContext batch = whole_batch(1, 6);
  const auto router = small_router("topk", {{"score", std::string("sigmoid")}});
  router->parameters([](Parameter& p) {
    for (int64_t e = 0; e < kExperts; ++e) {
      for (int64_t i = 0; i < kDim; ++i)
        p.value().data<double>()[e * kDim + i] = -1.0 - 0.01 * static_cast<double>(e);
    }
    p.value_changed();
  });
  for (const double size : {0.001, 1.0, 10.0, 60.0, 150.0, 3000.0}) {
    const Tensor x = Tensor::full({6, kDim}, DType::f64, size, test_device());
    const Routing routing = route(*router, batch, x);
    const std::vector<double> logits = routing.logits_TE.values();
    const std::vector<double> p = routing.probabilities_TE.values();
    double sum = 0.0;
    for (size_t e = 0; e < kExperts; ++e) sum += p[e];
    EXPECT_NEAR(sum, 1.0, 1e-14) << size;
    // sigmoid(a) / sigmoid(b), in a form that does not underflow.
    const double ratio =
        (1.0 + std::exp(logits[1])) / (1.0 + std::exp(logits[0])) * std::exp(logits[0] - logits[1]);
    EXPECT_NEAR(p[0] / p[1] / ratio, 1.0, 1e-11) << size;
  }
}

TEST(TopkRouter, ScalesToEveryExpert) {
  const TokenContext batch = whole_batch(1, 4);
  const auto all =
      route(*small_router("topk", {{"top_k", kExperts}}), batch, random_tensor({4, kDim}, 1));
  EXPECT_EQ(all.sparse().selected_counts(), std::vector<int64_t>(kExperts, 4));
  EXPECT_EQ(find_router("topk")->problem(Options(find_router("topk")->fields), 1),
            "top_k 2 of 1 experts; at most 1");
}

TEST(TopkRouter, NoiseActsInTrainingOnly) {
  TokenContext batch = whole_batch(4, 16);
  const Tensor x = random_tensor({64, kDim}, 1, 0.1);
  const auto noisy = small_router("topk", {{"noise", std::string("learned")}});
  const auto plain = small_router("topk");
  const Routing trained = route(*noisy, batch, x);
  EXPECT_TRUE(trained.load_TE.defined());
  EXPECT_FALSE(trained.sparse().same_routing(route(*plain, batch, x).sparse()));
  batch.training = false;
  const Routing evaluated = route(*noisy, batch, x);
  EXPECT_FALSE(evaluated.load_TE.defined());
  EXPECT_TRUE(evaluated.sparse().same_routing(route(*plain, batch, x).sparse()));
}

// With a noise matrix of zeros the deviation is softplus(0) + 1e-2 for every logit; probabilities
// are those of the logits without noise, weights those with it.
TEST(TopkRouter, NoiseHasItsDeviationAndLeavesProbabilitiesAlone) {
  const TokenContext batch = whole_batch(2, 8);
  const Tensor x = random_tensor({16, kDim}, 1);
  const auto router =
      small_router("topk", {{"noise", std::string("learned")}, {"renormalize", false}});
  const Routing routing = route(*router, batch, x);
  const std::vector<double> clean = routing.logits_TE.values();
  const std::vector<double> noisy = routing.selection_TE.values();
  const std::vector<double> normals =
      normal_noise(batch, "layers.0.moe.router", kExperts, DType::f64, test_device()).values();
  for (size_t i = 0; i < clean.size(); ++i)
    EXPECT_NEAR(noisy[i], clean[i] + (std::log(2.0) + 1e-2) * normals[i], 1e-12);
  const auto share = [](const std::vector<double>& logits, size_t token, size_t expert) {
    double sum = 0.0;
    for (size_t e = 0; e < kExperts; ++e) sum += std::exp(logits[token * kExperts + e]);
    return std::exp(logits[token * kExperts + expert]) / sum;
  };
  for (size_t t = 0; t < 16; ++t) {
    for (size_t e = 0; e < kExperts; ++e)
      EXPECT_NEAR(routing.probabilities_TE.values()[t * kExperts + e], share(clean, t, e), 1e-12);
    for (size_t i = 2 * t; i < 2 * t + 2; ++i) {
      EXPECT_NEAR(routing.sparse().weight.values()[i],
                  share(noisy, t, static_cast<size_t>(routing.sparse().expert[i])), 1e-12);
    }
  }
}

// The bias takes part in the choice, never in the weights.
TEST(TopkRouter, BiasOnlySelects) {
  const TokenContext batch = whole_batch(1, 8);
  const Tensor x = random_tensor({8, kDim}, 1);
  for (const char* score : {"softmax", "softmax_after", "sigmoid"}) {
    const auto router = small_router("topk", {{"bias_update", 100.0},
                                              {"top_k", int64_t{1}},
                                              {"renormalize", false},
                                              {"score", std::string(score)}});
    router->after_step(std::vector<int64_t>{60, 60, 60, 60, 0, 60});
    const Routing routing = route(*router, batch, x);
    EXPECT_EQ(routing.sparse().selected_counts(), (std::vector<int64_t>{0, 0, 0, 0, 8, 0}));
    for (const double w : routing.sparse().weight.values()) {
      EXPECT_GT(w, 0.0);
      EXPECT_LE(w, 1.0);
    }
  }
}

}  // namespace
}  // namespace troupe::testing
