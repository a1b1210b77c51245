// The layout law of one layer: every router, dropless and with capacity, all balance scopes, on any
// number of thread ranks gives one rank's results.
#include <gtest/gtest.h>

#include "core/base/error.h"
#include "moe/routers/table.h"
#include "tests/moe/layer/fixture.h"
#include "tests/moe/support.h"

namespace troupe {
namespace {

using testing::difference;
using testing::layer_case;
using testing::LayerCase;
using testing::LayerRun;
using testing::run_layer;
using testing::set_capacity;
using testing::set_option;

constexpr std::pair<int, int> kLayouts[] = {{2, 1}, {2, 2}, {3, 3}, {4, 1}, {4, 2}, {4, 4}};

void add_all_terms(LayerCase& given) {
  const std::string& router = given.inputs.config.router;
  for (const char* type : {"switch", "z", "importance", "load"}) {
    for (const BalanceScope scope :
         {BalanceScope::sequence, BalanceScope::microbatch, BalanceScope::global_batch}) {
      const BalanceTerm term{type, 0.3, scope};
      if (balance_problem(term, router, given.inputs.config.router_options).empty())
        given.inputs.config.balance.push_back(term);
    }
  }
}

void expect_same_everywhere(const LayerCase& given, const std::string& what) {
  const LayerRun one = run_layer(given);
  for (const auto& [ranks, ep] : kLayouts) {
    const LayerRun many = run_layer(given, ranks, ep);
    EXPECT_LE(difference(one, many), 1e-10) << what << " on " << ranks << " ranks, ep " << ep;
    EXPECT_EQ(one.stats.selected, many.stats.selected) << what;
    EXPECT_EQ(one.stats.kept, many.stats.kept) << what;
    EXPECT_EQ(one.stats.tokens, many.stats.tokens) << what;
    EXPECT_EQ(one.rows, many.rows) << what;
    for (size_t b = 0; b < one.assignments.size(); ++b)
      EXPECT_TRUE(one.assignments[b].same_routing(many.assignments[b])) << what << ", sample " << b;
  }
}

class EveryRouter : public ::testing::TestWithParam<std::string> {};

TEST_P(EveryRouter, GivesOneRanksResultOnAnyLayout) {
  for (const double factor : {0.0, 0.75}) {
    LayerCase given = layer_case(GetParam());
    if (GetParam() == "topk" && factor > 0.0) set_option(given, "noise", std::string("learned"));
    if (GetParam() == "topk" || GetParam() == "switch") set_option(given, "bias_update", 0.01);
    add_all_terms(given);
    given.steps = 2;
    given.inputs.config.shared_experts = 2;
    given.inputs.config.shared_ffn_dim = 3;
    testing::pad(given.batch, {5, 23, 24, 25, 26, 27, 28, 29, 71});
    if (factor > 0.0) set_capacity(given, factor);
    expect_same_everywhere(given, GetParam() + " with factor " + std::to_string(factor));
  }
}

TEST_P(EveryRouter, GivesOneRanksResultWithGroupsAcrossTheBatch) {
  LayerCase given = layer_case(GetParam());
  given.inputs.config.group = {GroupRule::Kind::across_batch, 0, 2};
  given.inputs.config.priority = Priority::gate;
  set_capacity(given, 0.75);
  expect_same_everywhere(given, GetParam());
}

TEST_P(EveryRouter, DropsSomethingInTheseTests) {
  LayerCase given = layer_case(GetParam());
  set_capacity(given, 0.75);
  const LayerRun run = run_layer(given);
  if (GetParam() == "expert_choice") {
    EXPECT_EQ(run.stats.dropped(), 0);
  } else {
    EXPECT_GT(run.stats.dropped(), 0);
  }
}

TEST_P(EveryRouter, SurvivesARankWithoutTokens) {
  LayerCase given = layer_case(GetParam());
  add_all_terms(given);
  const LayerRun one = run_layer(given);
  for (const int ep : {1, 3}) {
    given.starved = 1;
    EXPECT_LE(difference(one, run_layer(given, 3, ep)), 1e-10) << "ep " << ep;
  }
}

// All tokens go to one expert: the others, and all ranks but one, compute nothing.
TEST_P(EveryRouter, SurvivesExpertsWithoutTokens) {
  for (const int32_t expert : {0, 11}) {
    LayerCase given = layer_case(GetParam());
    SparseAssignment all = empty_assignment(12);
    for (int64_t t = 0; t < 6; ++t) all.append(std::span(&expert, 1));
    given.replay.assign(12, all);
    const LayerRun one = run_layer(given);
    EXPECT_EQ(one.stats.kept[static_cast<size_t>(expert)], 72);
    EXPECT_EQ(one.rows, 72);
    for (const auto& [ranks, ep] : {std::pair{2, 2}, {4, 2}, {4, 4}})
      EXPECT_LE(difference(one, run_layer(given, ranks, ep)), 1e-10) << ranks << ", ep " << ep;
  }
}

INSTANTIATE_TEST_SUITE_P(Routers, EveryRouter, ::testing::ValuesIn([] {
                           std::vector<std::string> names;
                           for (const RouterDescriptor& router : routers())
                             names.push_back(router.name);
                           return names;
                         }()),
                         [](const auto& test) { return test.param; });

// f of this very batch: every micro-batch goes forward before the first one goes backward.
TEST_P(EveryRouter, GivesOneRanksResultWithTheExactScope) {
  LayerCase given = layer_case(GetParam());
  if (GetParam() == "topk") set_option(given, "noise", std::string("learned"));
  for (const char* type : {"switch", "z", "importance", "load"}) {
    const BalanceTerm term{type, 0.3, BalanceScope::global_batch_exact};
    if (balance_problem(term, GetParam(), given.inputs.config.router_options).empty())
      given.inputs.config.balance.push_back(term);
  }
  testing::pad(given.batch, {5, 23, 24, 25, 26, 27, 28, 29, 71});
  given.forwards_first = true;
  given.steps = 2;
  expect_same_everywhere(given, GetParam());
  // Whatever the micro-batches are.
  const LayerRun one = run_layer(given);
  given.micro_batch = 5;
  EXPECT_LE(difference(one, run_layer(given)), 1e-10);
}

// One expert takes everything, the others nothing: no row is lost.
TEST(Layout, OneExpertTakesEverything) {
  LayerCase given = layer_case("topk");
  for (const int32_t expert : {0, 7, 11}) {
    SparseAssignment all = empty_assignment(12);
    for (int64_t t = 0; t < 6; ++t) all.append(std::span(&expert, 1));
    given.replay.assign(12, all);
    const LayerRun one = run_layer(given);
    EXPECT_EQ(one.stats.kept[static_cast<size_t>(expert)], 72);
    for (const auto& [ranks, ep] : kLayouts)
      EXPECT_LE(difference(one, run_layer(given, ranks, ep)), 1e-10);
  }
}

TEST(Layout, NobodyIsRouted) {
  LayerCase given = layer_case("topk");
  SparseAssignment none = empty_assignment(12);
  for (int64_t t = 0; t < 6; ++t) none.append({});
  given.replay.assign(12, none);
  const LayerRun run = run_layer(given, 4, 2);
  EXPECT_EQ(run.stats.rows, 0);
  for (const double y : run.y) EXPECT_EQ(y, 0.0);
}

// f32 with one rank's assignment replayed.
TEST_P(EveryRouter, InF32WithTheAssignmentReplayed) {
  LayerCase given = layer_case(GetParam());
  given.inputs.compute = DType::f32;
  given.inputs.config.router_precision = DType::f32;
  given.x = Tensor::from(given.x.values(), given.x.shape(), DType::f32, given.x.device());
  given.seed = Tensor::from(given.seed.values(), given.seed.shape(), DType::f32, given.x.device());
  add_all_terms(given);
  const LayerRun one = run_layer(given);
  given.replay = one.assignments;
  for (const auto& [ranks, ep] : kLayouts)
    EXPECT_LE(difference(one, run_layer(given, ranks, ep)), 1e-5) << ranks << " ranks, ep " << ep;
}

TEST(Layout, ExpertsThatDoNotDivideAreRefused) {
  LayerCase given = layer_case("topk");
  given.inputs.config.experts = 10;
  EXPECT_THROW(run_layer(given, 4, 4), Error);
}

}  // namespace
}  // namespace troupe
