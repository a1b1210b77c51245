// What is particular to each router; what all of them keep is in tests/moe/layer.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <map>
#include <numeric>

#include "core/autograd/tape.h"
#include "core/base/error.h"
#include "moe/dispatch/capacity.h"
#include "moe/routers/parts/draws.h"
#include "moe/routers/table.h"
#include "tests/core/ops/gradient_check.h"
#include "tests/moe/support.h"

namespace troupe {
namespace {

using testing::pad;
using testing::random_tensor;
using testing::test_device;
using testing::whole_batch;

constexpr int64_t kExperts = 6;
constexpr int64_t kDim = 5;

std::unique_ptr<Router> make(const std::string& name,
                             const std::map<std::string, FieldValue>& given = {},
                             std::vector<int64_t> token_counts = {},
                             const std::string& layer = "layers.0") {
  const RouterDescriptor& descriptor = *find_router(name);
  Options options(descriptor.fields);
  for (const auto& [key, value] : given) options.set(key, value);
  RouterSetup setup;
  setup.experts = kExperts;
  setup.dim = kDim;
  setup.name = layer + ".moe.router";
  setup.precision = DType::f64;
  setup.init_std = 1.0;
  setup.vocab = 32;
  setup.token_counts = std::move(token_counts);
  setup.device = test_device();
  auto router = descriptor.make(options, setup);
  router->parameters([](Parameter& p) { p.initialize(9); });
  return router;
}

Routing route(Router& router, const TokenContext& batch, const Tensor& x,
              const Assignment* replay = nullptr) {
  const Groups groups = make_groups({}, batch);
  return router.route({x, batch, &groups, 1.5, {}, {}}, replay);
}

double token_weight(const Routing& routing, int64_t token) {
  const std::vector<double> w = routing.assignment.weight.values();
  double sum = 0.0;
  for (int64_t i = routing.assignment.token_begin[static_cast<size_t>(token)];
       i < routing.assignment.token_begin[static_cast<size_t>(token) + 1]; ++i)
    sum += w[static_cast<size_t>(i)];
  return sum;
}

TEST(RouterTable, HoldsEveryFileOfTheFolder) {
  std::vector<std::string> names;
  for (const RouterDescriptor& router : routers()) names.push_back(router.name);
  EXPECT_EQ(names, (std::vector<std::string>{"expert_choice", "hash", "smile", "st_moe", "switch",
                                             "topk"}));
  EXPECT_EQ(find_router("topc"), nullptr);
  for (const RouterDescriptor& router : routers()) {
    EXPECT_FALSE(router.help.empty());
    EXPECT_TRUE(router.make && router.choices && router.problem && router.balance_problem);
    EXPECT_EQ(router.problem(Options(router.fields), 8), "");
  }
}

// What the table says of a router's matrices is what it makes.
TEST(RouterTable, NamesTheMatricesOfEachRouter) {
  const std::vector<std::pair<std::string, std::map<std::string, FieldValue>>> cases = {
      {"topk", {}},
      {"topk", {{"noise", std::string("learned")}}},
      {"switch", {}},
      {"st_moe", {}},
      {"hash", {}},
      {"expert_choice", {}},
      {"smile", {}},
      {"smile", {{"groups", int64_t{1}}}},
      {"smile", {{"groups", int64_t{3}}}}};
  for (const auto& [name, given] : cases) {
    Options options(find_router(name)->fields);
    for (const auto& [key, value] : given) options.set(key, value);
    std::vector<std::pair<std::string, int64_t>> said;
    for (const RouterMatrix& matrix : router_matrices(*find_router(name), options, kExperts))
      said.emplace_back("layers.0.moe.router." + matrix.suffix, matrix.rows);
    std::vector<std::pair<std::string, int64_t>> made;
    make(name, given)->parameters([&](Parameter& p) {
      made.emplace_back(p.name(), p.value().dim(0));
      EXPECT_EQ(p.value().dim(1), kDim);
    });
    EXPECT_EQ(said, made) << name;
  }
}

TEST(Routers, PaddingGetsNoExpert) {
  TokenContext batch = whole_batch(2, 6);
  pad(batch, {0, 5, 6, 7, 11});
  for (const RouterDescriptor& descriptor : routers()) {
    const auto router = make(descriptor.name);
    const Assignment a = route(*router, batch, random_tensor({12, kDim}, 1)).assignment;
    a.check();
    for (const size_t t : {0, 5, 6, 7, 11}) EXPECT_EQ(a.token_begin[t], a.token_begin[t + 1]);
  }
}

TEST(Routers, ReplayGivesTheSameWeights) {
  const TokenContext batch = whole_batch(2, 6);
  const Tensor x = random_tensor({12, kDim}, 1);
  for (const RouterDescriptor& descriptor : routers()) {
    const auto router = make(descriptor.name);
    const Routing first = route(*router, batch, x);
    const Assignment saved = assignment_from_bytes(to_bytes(first.assignment));
    const Routing again = route(*router, batch, x, &saved);
    EXPECT_TRUE(again.assignment.same_routing(first.assignment)) << descriptor.name;
    EXPECT_EQ(again.assignment.weight.values(), first.assignment.weight.values())
        << descriptor.name;
  }
}

TEST(TopkRouter, WeightsOfTheScoreVariants) {
  const TokenContext batch = whole_batch(1, 8);
  const Tensor x = random_tensor({8, kDim}, 1);
  const auto plain = route(*make("topk", {{"renormalize", false}}), batch, x);
  const auto normal = route(*make("topk"), batch, x);
  const auto after = route(*make("topk", {{"score", std::string("softmax_after")}}), batch, x);
  const auto sigmoid =
      route(*make("topk", {{"score", std::string("sigmoid")}, {"scale", 2.5}}), batch, x);
  for (int64_t t = 0; t < 8; ++t) {
    EXPECT_LT(token_weight(plain, t), 1.0);
    EXPECT_NEAR(token_weight(normal, t), 1.0, 1e-12);
    EXPECT_NEAR(token_weight(sigmoid, t), 2.5, 1e-12);
  }
  // Renormalising a softmax over all is a softmax over the chosen ones.
  EXPECT_LT(testing::relative_difference(normal.assignment.weight, after.assignment.weight), 1e-12);
  const std::vector<double> s = sigmoid.assignment.weight.values();
  const std::vector<double> logits = sigmoid.logits_TE.values();
  auto score = [&](int pair) {
    return 1.0 / (1.0 + std::exp(-logits[static_cast<size_t>(
                            sigmoid.assignment.expert[static_cast<size_t>(pair)])]));
  };
  EXPECT_NEAR(s[0] / s[1], score(0) / score(1), 1e-12);
}

// Balance terms read rows that sum to 1, however far below zero the logits lie.
TEST(TopkRouter, ProbabilitiesOfSigmoidsSumToOne) {
  const TokenContext batch = whole_batch(1, 6);
  const auto router = make("topk", {{"score", std::string("sigmoid")}});
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
  const auto all = route(*make("topk", {{"top_k", kExperts}}), batch, random_tensor({4, kDim}, 1));
  EXPECT_EQ(all.assignment.selected_counts(), std::vector<int64_t>(kExperts, 4));
  EXPECT_EQ(find_router("topk")->problem(Options(find_router("topk")->fields), 1),
            "top_k 2 of 1 experts; at most 1");
}

TEST(TopkRouter, NoiseActsInTrainingOnly) {
  TokenContext batch = whole_batch(4, 16);
  const Tensor x = random_tensor({64, kDim}, 1, 0.1);
  const auto noisy = make("topk", {{"noise", std::string("learned")}});
  const auto plain = make("topk");
  const Routing trained = route(*noisy, batch, x);
  EXPECT_TRUE(trained.load_TE.defined());
  EXPECT_FALSE(trained.assignment.same_routing(route(*plain, batch, x).assignment));
  batch.training = false;
  const Routing evaluated = route(*noisy, batch, x);
  EXPECT_FALSE(evaluated.load_TE.defined());
  EXPECT_TRUE(evaluated.assignment.same_routing(route(*plain, batch, x).assignment));
}

// With a noise matrix of zeros the deviation is softplus(0) + 1e-2 for every logit; probabilities
// are those of the logits without noise, weights those with it.
TEST(TopkRouter, NoiseHasItsDeviationAndLeavesProbabilitiesAlone) {
  const TokenContext batch = whole_batch(2, 8);
  const Tensor x = random_tensor({16, kDim}, 1);
  const auto router = make("topk", {{"noise", std::string("learned")}, {"renormalize", false}});
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
      EXPECT_NEAR(routing.assignment.weight.values()[i],
                  share(noisy, t, static_cast<size_t>(routing.assignment.expert[i])), 1e-12);
    }
  }
}

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
    const auto router = make(kind == "switch" ? "switch" : "topk", options);
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
      EXPECT_EQ(routing.assignment.expert[t], best) << kind << ", token " << t;
      by_logits += std::max_element(plain.begin(), plain.end()) - plain.begin() == best ? 1 : 0;
    }
    EXPECT_LT(by_logits, 64) << kind << ": adding to logits would choose the same";
  }
}

// The bias takes part in the choice, never in the weights.
TEST(TopkRouter, BiasOnlySelects) {
  const TokenContext batch = whole_batch(1, 8);
  const Tensor x = random_tensor({8, kDim}, 1);
  for (const char* score : {"softmax", "softmax_after", "sigmoid"}) {
    const auto router = make("topk", {{"bias_update", 100.0},
                                      {"top_k", int64_t{1}},
                                      {"renormalize", false},
                                      {"score", std::string(score)}});
    router->after_step(std::vector<int64_t>{60, 60, 60, 60, 0, 60});
    const Routing routing = route(*router, batch, x);
    EXPECT_EQ(routing.assignment.selected_counts(), (std::vector<int64_t>{0, 0, 0, 0, 8, 0}));
    for (const double w : routing.assignment.weight.values()) {
      EXPECT_GT(w, 0.0);
      EXPECT_LE(w, 1.0);
    }
  }
}

TEST(SwitchRouter, JittersInTrainingOnlyAndWeighsByProbability) {
  TokenContext batch = whole_batch(1, 8);
  const Tensor x = random_tensor({8, kDim}, 1);
  const auto router = make("switch", {{"jitter", 0.3}});
  const auto jittered = route(*router, batch, x).logits_TE.values();
  batch.training = false;
  const Routing plain = route(*router, batch, x);
  EXPECT_NE(jittered, plain.logits_TE.values());
  const std::vector<double> p = plain.probabilities_TE.values();
  const std::vector<double> w = plain.assignment.weight.values();
  for (size_t t = 0; t < 8; ++t) {
    const auto row = p.begin() + static_cast<int64_t>(t) * kExperts;
    EXPECT_EQ(w[t], *std::max_element(row, row + kExperts));
  }
}

// The second expert is kept with probability min(1, weight / threshold), always in evaluation.
TEST(StMoeRouter, KeepsTheSecondExpertAtItsRate) {
  TokenContext batch = whole_batch(20, 100);
  const Tensor x = random_tensor({2000, kDim}, 1);
  const auto router = make("st_moe", {{"second_threshold", 0.6}});
  double wanted = 0.0;
  batch.training = false;
  const Routing all = route(*router, batch, x);
  ASSERT_EQ(all.assignment.pairs(), 4000);
  const std::vector<double> w = all.assignment.weight.values();
  for (size_t t = 0; t < 2000; ++t) {
    EXPECT_NEAR(w[2 * t] + w[2 * t + 1], 1.0, 1e-12);
    wanted += std::min(1.0, w[2 * t + 1] / 0.6);
  }
  batch.training = true;
  const Routing drawn = route(*router, batch, x);
  EXPECT_NEAR(static_cast<double>(drawn.assignment.pairs() - 2000), wanted, 60.0);
  EXPECT_EQ(drawn.assignment.first_counts(), all.assignment.first_counts());
  // The weights are those of the pair, also where the second expert was left out.
  const std::vector<double> kept = drawn.assignment.weight.values();
  ASSERT_EQ(kept.size(), drawn.assignment.expert.size());
  for (size_t t = 0; t < 2000; ++t) {
    const auto begin = static_cast<size_t>(drawn.assignment.token_begin[t]);
    const auto end = static_cast<size_t>(drawn.assignment.token_begin[t + 1]);
    ASSERT_GE(end, begin + 1);
    for (size_t i = begin; i < end; ++i) ASSERT_EQ(kept[i], w[2 * t + i - begin]) << "token " << t;
  }
  const auto never = make("st_moe", {{"second_threshold", 1e9}});
  EXPECT_EQ(route(*never, batch, x).assignment.pairs(), 2000);
  // 0 = always, also where the second weight is 0.
  const auto always = make("st_moe", {{"second_threshold", 0.0}});
  EXPECT_EQ(route(*always, batch, random_tensor({2000, kDim}, 1, 1e4)).assignment.pairs(), 4000);
}

TEST(HashRouter, FollowsTheTokenId) {
  const TokenContext batch = whole_batch(2, 16);
  for (const char* kind : {"random", "modulo", "balanced"}) {
    const auto router = make("hash", {{"kind", std::string(kind)}});
    const Routing routing = route(*router, batch, random_tensor({32, kDim}, 1));
    std::map<int32_t, int32_t> expert_of;
    for (size_t t = 0; t < 32; ++t) {
      const int32_t id = batch.token_ids.data<int32_t>()[t];
      const int32_t expert = routing.assignment.expert[t];
      EXPECT_EQ(expert_of.emplace(id, expert).first->second, expert);
      if (std::string(kind) == "modulo") {
        EXPECT_EQ(expert, id % kExperts);
      }
    }
    for (const double w : routing.assignment.weight.values()) EXPECT_EQ(w, 1.0);
  }
}

TEST(HashRouter, BalancedSpreadsTheCorpus) {
  std::vector<int64_t> counts(32);
  for (size_t id = 0; id < counts.size(); ++id) counts[id] = static_cast<int64_t>(10000 / (id + 3));
  const auto router = make("hash", {{"kind", std::string("balanced")}}, counts);
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
  EXPECT_EQ(routing.assignment.expert, std::vector<int32_t>(4, 5));
}

// Ids that never occur are spread by number, not sent to one expert.
TEST(HashRouter, BalancedSpreadsIdsThatNeverOccur) {
  State state;
  make("hash", {{"kind", std::string("balanced")}})->state(state);
  std::vector<int64_t> ids(kExperts, 0);
  for (const int64_t expert : state.tensors[0].tensor.integers())
    ++ids[static_cast<size_t>(expert)];
  EXPECT_EQ(ids, (std::vector<int64_t>{6, 6, 5, 5, 5, 5}));
}

TEST(HashRouter, SeedsAndLayersGiveOtherTables) {
  auto table = [](int64_t seed) {
    State state;
    make("hash", {{"seed", seed}})->state(state);
    return state.tensors[0].tensor.integers();
  };
  EXPECT_EQ(table(1), table(1));
  EXPECT_NE(table(1), table(2));
  State other;
  make("hash", {{"seed", int64_t{1}}}, {}, "layers.1")->state(other);
  EXPECT_NE(table(1), other.tensors[0].tensor.integers());
}

TEST(ExpertChoiceRouter, EveryExpertTakesItsShareOfEachGroup) {
  TokenContext batch = whole_batch(3, 8);
  pad(batch, {6, 7, 16, 17, 18, 19, 20, 21, 22, 23});
  const Tensor x = random_tensor({24, kDim}, 1);
  const Routing routing = route(*make("expert_choice"), batch, x);
  const std::vector<double> p = routing.probabilities_TE.values();
  for (int64_t b = 0; b < 3; ++b) {
    const int64_t valid = b == 0 ? 6 : b == 1 ? 8 : 0;
    const int64_t share = static_cast<int64_t>(std::ceil(1.5 * static_cast<double>(valid) / 6));
    const Assignment part = slice_tokens(routing.assignment, b * 8, b * 8 + 8);
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
    const auto router = make("expert_choice");
    const auto a = router->route({x, batch, &groups, 2.0, {}, {}}, nullptr).assignment;
    const auto b = router->route({changed, batch, &groups, 2.0, {}, {}}, nullptr).assignment;
    bool same_before = true;
    for (int64_t s = 0; s < 4; ++s) {
      same_before =
          same_before &&
          slice_tokens(a, s * 6, s * 6 + 5).same_routing(slice_tokens(b, s * 6, s * 6 + 5));
    }
    EXPECT_EQ(same_before, across);
  }
}

// A token's experts lie in its most probable group, the best ones there; its weights are products.
TEST(SmileRouter, ChoosesAGroupThenExpertsInIt) {
  const TokenContext batch = whole_batch(2, 16);
  const Tensor x = random_tensor({32, kDim}, 1);
  for (const bool renormalize : {true, false}) {
    const auto router = make("smile", {{"groups", int64_t{2}}, {"renormalize", renormalize}});
    const Routing routing = route(*router, batch, x);
    ASSERT_EQ(routing.levels.size(), 2U);
    const std::vector<double> p = routing.levels[0].probabilities_TB.values();
    const std::vector<double> q = routing.levels[1].probabilities_TB.values();
    const std::vector<double> joint = routing.probabilities_TE.values();
    const std::vector<double> w = routing.assignment.weight.values();
    ASSERT_EQ(w.size(), 64U);
    std::vector<int64_t> groups(2, 0);
    for (size_t t = 0; t < 32; ++t) {
      for (size_t e = 0; e < 6; ++e)
        EXPECT_NEAR(joint[t * 6 + e], p[t * 2 + e / 3] * q[t * 3 + e % 3], 1e-14);
      const auto group = p[t * 2] >= p[t * 2 + 1] ? size_t{0} : size_t{1};
      ++groups[group];
      double sum = 0.0;
      for (size_t i = 2 * t; i < 2 * t + 2; ++i) {
        const auto e = static_cast<size_t>(routing.assignment.expert[i]);
        EXPECT_EQ(e / 3, group);
        sum += q[t * 3 + e % 3];
      }
      for (size_t i = 2 * t; i < 2 * t + 2; ++i) {
        const auto e = static_cast<size_t>(routing.assignment.expert[i]);
        EXPECT_NEAR(w[i], p[t * 2 + group] * q[t * 3 + e % 3] / (renormalize ? sum : 1.0), 1e-14);
        const auto left = static_cast<size_t>(3 - routing.assignment.expert[2 * t] % 3 -
                                              routing.assignment.expert[2 * t + 1] % 3);
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
            "router.groups must divide moe.experts: 6 = 1 x 4 + 2; legal values: 1, 2, 3, 6");
  options.set("groups", int64_t{3});
  options.set("top_k", int64_t{3});
  EXPECT_EQ(smile.problem(options, 6),
            "router.top_k must be at most the experts of a group, 6 / 3 = 2: it is 3; nearest "
            "legal value: 2");
}

}  // namespace
}  // namespace troupe
