// Free f32 runs: layouts may flip a routing decision only where two scores are equal but for
// rounding.
#include "models/verify/routing_flips.h"

#include <gtest/gtest.h>

#include <cstdio>

#include "tests/support/law_cases.h"

namespace troupe::laws {
namespace {

constexpr double kMargin = 1e-5;

LayoutRun free_case(const EngineConfig& engine) {
  LayoutRun law{engine};
  law.steps = 1;
  return law;
}

class RoutingFlips : public ::testing::TestWithParam<NamedCase> {};

void expect_tiny_margins(const LayoutRun& law, const LawResult& alone, const LawResult& spread,
                         const std::string& layout) {
  const std::vector<Flip> flips = routing_flips(law, alone, spread);
  std::printf("%s: %zu flips\n", layout.c_str(), flips.size());
  for (const Flip& flip : flips) {
    std::printf("  %s\n", text(flip).c_str());
    EXPECT_LT(flip.margin, kMargin) << layout << ", " << text(flip);
  }
}

TEST_P(RoutingFlips, HaveTinyMargins) {
  LayoutRun law = free_case(GetParam().engine);
  const LawResult alone = run_law_on_threads(law, 1);
  for (const LayoutCase& layout : kLayouts) {
    if (layout.ranks == 1) continue;
    law.ep = layout.ep;
    expect_tiny_margins(
        law, alone, run_law_on_threads(law, layout.ranks),
        "ranks " + std::to_string(layout.ranks) + ", ep " + std::to_string(layout.ep));
  }
}

// Tensor parallel ranks add partial sums, so scores do differ in their last bits: without that the
// margins above would say nothing.
TEST_P(RoutingFlips, HaveTinyMarginsWhereScoresDiffer) {
  LayoutRun law = free_case(GetParam().engine);
  law.engine.model.heads = 4;
  law.engine.model.kv_heads = 2;
  law.engine.model.head_dim = 4;
  const LawResult alone = run_law_on_threads(law, 1);
  MeshShape shape;
  shape[Axis::tp] = 2;
  shape[Axis::edp] = 2;
  law.layout = Parallelism(shape);
  const LawResult spread = run_law_on_threads(law, 2);
  if (law.engine.model.moe[1]->router != "hash") {
    EXPECT_NE(alone.selection, spread.selection);
  }
  expect_tiny_margins(law, alone, spread, "tp 2");
}

// The same run with router weights a thousandth larger or smaller is no rounding error: the list
// must show decisions that are far apart.
TEST_P(RoutingFlips, ShowAChangedModel) {
  LayoutRun law = free_case(GetParam().engine);
  if (law.engine.model.moe[1]->router == "hash") GTEST_SKIP() << "nothing to change";
  const LawResult alone = run_law_on_threads(law, 1);
  LayoutRun changed = law;
  changed.engine.model.init_std *= 1.05;
  EXPECT_GT(largest_margin(routing_flips(law, alone, run_law_on_threads(changed, 1))), kMargin);
}

INSTANTIATE_TEST_SUITE_P(Routers, RoutingFlips, ::testing::ValuesIn(law_cases(DType::f32)),
                         [](const auto& info) { return info.param.name; });

// Two experts of one token exchanged by hand: the margin is the gap of their scores.
TEST(RoutingFlipsOfOneToken, AreListedWithTheirGap) {
  const LayoutRun law = free_case(small_engine(DType::f32, "topk"));
  const LawResult alone = run_law_on_threads(law, 1);
  EXPECT_TRUE(routing_flips(law, alone, alone).empty());
  LawResult planted = alone;
  SparseAssignment& sample = planted.assignments[0][5];
  const auto first = static_cast<size_t>(sample.token_begin[3]);
  const int32_t a = sample.expert[first];
  const int32_t b = sample.expert[first + 1];
  std::swap(sample.expert[first], sample.expert[first + 1]);
  const std::vector<Flip> flips = routing_flips(law, alone, planted);
  ASSERT_EQ(flips.size(), 2U);
  EXPECT_EQ(flips[0].sample, 5);
  EXPECT_EQ(flips[0].token, 3);
  EXPECT_EQ(flips[0].expert, a);
  EXPECT_EQ(flips[0].other, b);
  const auto row = static_cast<size_t>((5 * law.engine.model.seq_len + 3) * 12);
  const double gap = alone.selection[0][row + static_cast<size_t>(a)] -
                     alone.selection[0][row + static_cast<size_t>(b)];
  EXPECT_GT(gap, kMargin);
  EXPECT_EQ(flips[0].margin, gap);
  EXPECT_NE(text(flips[0]).find("sample 5, token 3"), std::string::npos) << text(flips[0]);
}

}  // namespace
}  // namespace troupe::laws
