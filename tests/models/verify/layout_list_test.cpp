// Which layouts `verify` runs, and that the shrunk model allows what the large one does.
#include "models/verify/layout_list.h"

#include <gtest/gtest.h>

#include <array>
#include <set>

#include "core/base/error.h"
#include "core/base/random.h"
#include "models/verify/layout_run.h"
#include "models/verify/shrink.h"
#include "tests/support/generous_model.h"

namespace troupe {
namespace {

TEST(LayoutList, CountsOfFactorisations) {
  EXPECT_EQ(factorisations(1).size(), 1U);
  EXPECT_EQ(factorisations(2).size(), 10U);
  EXPECT_EQ(factorisations(8).size(), 146U);
  for (const MeshShape& shape : factorisations(8)) {
    EXPECT_EQ(shape.world(), 8);
    EXPECT_EQ(shape[Axis::pp] * shape[Axis::edp] * shape[Axis::ep] * shape[Axis::etp], 8);
  }
}

TEST(LayoutList, OneLayoutForEachFactorisation) {
  const ListOptions options{8, false, 0, 2};
  const auto layouts = all_layouts(generous(), options);
  EXPECT_EQ(layouts.size(), 146U);
  for (const VerifiedLayout& layout : layouts)
    EXPECT_TRUE(layout.refused.empty()) << describe(layout);
  LayoutInputs tight = generous();
  tight.layers = 2;
  int refused = 0;
  for (const VerifiedLayout& layout : all_layouts(tight, options)) {
    refused += layout.refused.empty() ? 0 : 1;
  }
  EXPECT_EQ(refused, 9 + 1);  // pp 4 and pp 8
  EXPECT_GT(all_layouts(generous(), {8, true, 0, 2}).size(), 1000U);
}

// Without experts there is nothing to spread over ep and etp, as `check` says too.
TEST(LayoutList, ADenseModelHasNoExpertsToSpread) {
  LayoutInputs dense = generous();
  dense.experts = dense.expert_ffn = 0;
  for (const VerifiedLayout& layout : all_layouts(dense, {4, false, 0, 1})) {
    const MeshShape& shape = layout.parallelism.shape;
    const bool alone = shape[Axis::ep] == 1 && shape[Axis::etp] == 1;
    EXPECT_EQ(layout.refused.empty(), alone) << describe(layout);
  }
}

using Pairs = std::set<std::pair<std::string, std::string>>;

// Pairs of values that act together in a layout that runs.
Pairs pairs_that_run(const std::vector<VerifiedLayout>& layouts) {
  Pairs pairs;
  for (const VerifiedLayout& layout : layouts) {
    if (!layout.refused.empty()) continue;
    const std::vector<std::string> words = acting_choices(layout);
    for (const std::string& a : words) {
      for (const std::string& b : words) {
        if (a < b) pairs.emplace(a, b);
      }
    }
  }
  return pairs;
}

// What can act together at all does so in one of the 146; the rest is what no layout of 8 ranks
// allows or this build does not run.
TEST(LayoutList, EveryPairOfChoicesOccurs) {
  LayoutInputs tiny;  // as configs/tiny, with its few heads
  tiny.layers = 4;
  tiny.heads = 4;
  tiny.kv_heads = 2;
  tiny.seq_len = 128;
  tiny.experts = tiny.expert_ffn = 8;
  tiny.global_batch = 16;
  tiny.micro_batch = 1;
  for (const LayoutInputs& subject : {generous(), tiny}) {
    const auto layouts = all_layouts(subject, {8, false, 0, 2});
    EXPECT_EQ(layouts.size(), 146U);
    const Pairs occur = pairs_that_run(layouts);
    const Pairs possible = pairs_that_run(all_layouts(subject, {8, true, 0, 2}));
    for (const auto& [a, b] : possible)
      EXPECT_TRUE(occur.contains({a, b})) << a << " with " << b << " is left out";
    EXPECT_EQ(occur, possible);
    // Of 2 ways of sp, 4 schedules, 2 numbers of chunks (2 only with interleaved), 2 of cp, 2 of
    // ep, 2 of overlap, and as many of zero as this build runs, 3 or more.
    EXPECT_GE(possible.size(), 119U);
  }
}

// On one host the exchange between nodes needs nodes that are given.
TEST(LayoutList, HierarchicalExchangeCrossesBetweenTwoNodes) {
  int hierarchical = 0;
  for (const VerifiedLayout& layout : all_layouts(generous(), {8, false, 0, 2})) {
    const Parallelism& p = layout.parallelism;
    if (p.ep_kind != EpKind::hierarchical || p.shape[Axis::ep] == 1) continue;
    ++hierarchical;
    EXPECT_EQ(2 * p.ranks_per_node, p.shape[Axis::ep] * p.shape[Axis::etp]) << describe(layout);
  }
  EXPECT_GT(hierarchical, 20);
}

// A term that waits for the whole batch runs with gpipe on every factorisation, one stage or many.
TEST(LayoutList, WholeBatchTermsRunEverywhere) {
  LayoutInputs s = generous();
  s.exact_batch = true;
  for (const VerifiedLayout& layout : all_layouts(s, {8, false, 0, 1})) {
    EXPECT_TRUE(layout.refused.empty()) << describe(layout);
    EXPECT_EQ(layout.parallelism.schedule, PipelineSchedule::gpipe);
  }
}

// A degree that one way of context parallelism does not allow is run the other way.
TEST(LayoutList, TakesTheOtherKind) {
  LayoutInputs s = generous();
  s.seq_len = 24;  // ring over cp 8 would need a multiple of 16
  for (const VerifiedLayout& layout : all_layouts(s, {8, false, 0, 1})) {
    if (layout.parallelism.shape[Axis::cp] != 8) continue;
    EXPECT_TRUE(layout.refused.empty());
    EXPECT_EQ(layout.parallelism.cp_kind, CpKind::all_to_all);
  }
}

TEST(Shrink, SizesKeepTheirDivisors) {
  for (int64_t n = 1; n <= 300; ++n) {
    const int64_t small = shrink_size(n, 8, 4);
    EXPECT_EQ(n % small, 0);
    EXPECT_GE(small, std::min<int64_t>(n, 4));
    for (int64_t d = 1; d <= 8; ++d) EXPECT_EQ(n % d == 0, small % d == 0) << n << " by " << d;
  }
}

// Whatever the model: no layout that is legal for it is illegal for the small one.
TEST(Shrink, NeverMakesALegalLayoutIllegal) {
  const Random random(5, "shrink");
  uint64_t draw = 0;
  const auto any = [&](std::initializer_list<int64_t> values) {
    return values.begin()[random.below(draw++, values.size())];
  };
  int64_t legal = 0;
  for (int round = 0; round < 60; ++round) {
    EngineConfig engine = laws::small_engine(DType::f64, "topk");
    ModelConfig& model = engine.model;
    model.kv_heads = any({1, 2, 3, 4, 8});
    model.heads = model.kv_heads * any({1, 2, 3, 8});
    model.ffn_dim = any({7, 24, 64, 96});
    model.seq_len = any({15, 24, 48, 64, 512});
    const MoEConfig moe = *model.moe[1];
    model.layers = any({1, 2, 5, 8, 24});
    model.moe.assign(static_cast<size_t>(model.layers), std::nullopt);
    model.moe.back() = moe;
    model.moe.back()->experts = any({6, 8, 12, 64});
    model.moe.back()->ffn_dim = any({9, 16, 96});
    model.moe.back()->shared_ffn_dim = any({8, 12});
    engine.micro_batch = any({1, 2, 6});
    engine.global_batch = engine.micro_batch * any({1, 4, 6, 8, 16});
    const EngineConfig small = shrink(engine, 8);
    const auto of = [](const EngineConfig& config) {
      LayoutInputs s = layout_inputs(config.model);
      s.global_batch = config.global_batch;
      s.micro_batch = config.micro_batch;
      return s;
    };
    for (const MeshShape& shape : factorisations(8)) {
      for (CpKind kind : {CpKind::ring, CpKind::all_to_all}) {
        Parallelism p(shape);
        p.cp_kind = kind;
        if (!layout_problems(p, of(engine), 8).empty()) continue;
        ++legal;
        EXPECT_TRUE(layout_problems(p, of(small), 8).empty());
      }
    }
  }
  EXPECT_GT(legal, 500);
}

// Groups of experts stay groups in which there is a choice.
TEST(Shrink, KeepsGroupsOfExperts) {
  for (const auto& [groups, top_k, experts] :
       {std::array{4, 3, 12}, std::array{2, 2, 32}, std::array{4, 1, 60}}) {
    EngineConfig engine = laws::small_engine(DType::f64, "smile");
    MoEConfig& moe = *engine.model.moe[1];
    moe.experts = experts;
    moe.router_options.set("groups", int64_t{groups});
    moe.router_options.set("top_k", int64_t{top_k});
    const int64_t small = shrink(engine, 3).model.moe[1]->experts;
    EXPECT_EQ(small % groups, 0) << small;
    EXPECT_GE(small / groups, experts / groups > top_k ? top_k + 1 : top_k) << small;
  }
}

// Groups of tokens stay whole in a micro-batch, and go on into the next sequence where they did.
TEST(Shrink, KeepsGroupsOfTokens) {
  for (const auto& [tokens, micro_batch, small] :
       {std::array{16, 1, 2}, std::array{128, 4, 16}, std::array{96, 3, 12}, std::array{48, 6, 6},
        std::array{64, 3, 8}, std::array{1, 1, 1}, std::array{3, 3, 3}}) {
    SCOPED_TRACE(tokens);
    EngineConfig engine = laws::small_engine(DType::f64, "topk");
    engine.model.seq_len = 64;
    engine.model.moe[1]->group = {GroupRule::Kind::tokens, tokens, 0};
    engine.micro_batch = micro_batch;
    engine.global_batch = 4 * micro_batch;
    const EngineConfig less = shrink(engine, 4);
    EXPECT_EQ(less.model.seq_len, 8);
    EXPECT_EQ(less.model.moe[1]->group.tokens, small);
    EXPECT_EQ(less.micro_batch * less.model.seq_len % small, 0);
  }
}

TEST(Shrink, KeepsAllKindsOfLayers) {
  EngineConfig engine = laws::small_engine(DType::f64, "topk");
  const auto topk = engine.model.moe[1];
  const auto chosen = laws::small_engine(DType::f64, "switch").model.moe[1];
  engine.model.moe.assign(20, topk);
  engine.model.moe[17] = std::nullopt;
  engine.model.moe[19] = chosen;
  engine.model.layers = 20;
  const EngineConfig small = shrink(engine, 4);
  ASSERT_EQ(small.model.layers, 4);
  EXPECT_FALSE(small.model.moe[2]);
  EXPECT_EQ(small.model.moe[3]->router, "switch");
}

}  // namespace
}  // namespace troupe
