// The layout law of one layer on both foldings of the ranks: attention dp x cp x tp and experts
// edp x ep x etp, chosen independently.
#include <gtest/gtest.h>

#include <array>

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

using Three = std::array<int, 3>;

std::vector<Three> factorisations(int ranks) {
  std::vector<Three> out;
  for (int a = 1; a <= ranks; ++a) {
    for (int b = 1; b <= ranks / a; ++b) {
      if (ranks % (a * b) == 0) out.push_back({a, b, ranks / (a * b)});
    }
  }
  return out;
}

// attention: dp, cp, tp; experts: edp, ep, etp.
Parallelism layout(const Three& attention, const Three& experts, bool sp, CpKind cp_kind) {
  Parallelism out(
      MeshShape::of({1, attention[0], attention[1], attention[2], experts[1], experts[2]}));
  out.sp = sp && attention[2] > 1;
  out.cp_kind = cp_kind;
  return out;
}

std::string text(const Parallelism& p) {
  std::string out = p.sp ? "sp" : "no sp";
  for (const Axis axis : {Axis::dp, Axis::cp, Axis::tp, Axis::edp, Axis::ep, Axis::etp})
    out += std::string(" ") + name(axis) + " " + std::to_string(p.shape[axis]);
  return out;
}

// Experts, hidden and shared width, and positions that divide over up to 8 ranks.
LayerCase wide_case(const std::string& router, double factor) {
  LayerCase given = layer_case(router, 8, 16);
  given.inputs.config.experts = 8;
  given.inputs.config.ffn_dim = 8;
  given.inputs.config.shared_experts = 2;
  given.inputs.config.shared_ffn_dim = 4;
  given.inputs.config.balance = {};
  for (const char* type : {"switch", "z"}) {
    for (const BalanceScope scope : {BalanceScope::sequence, BalanceScope::global_batch}) {
      const BalanceTerm term{type, 0.3, scope};
      if (balance_problem(term, router, given.inputs.config.router_options).empty())
        given.inputs.config.balance.push_back(term);
    }
  }
  testing::pad(given.batch, {5, 23, 24, 25, 26, 27, 28, 29, 71, 112, 113, 114, 115, 116, 117, 118});
  if (factor > 0.0) set_capacity(given, factor);
  return given;
}

void expect_law(const LayerCase& given, const LayerRun& one, const Parallelism& parallelism) {
  const LayerRun many = run_layer(given, parallelism);
  const std::string where = given.inputs.config.router + ": " + text(parallelism);
  EXPECT_LE(difference(one, many), 1e-10) << where;
  EXPECT_EQ(one.stats.selected, many.stats.selected) << where;
  EXPECT_EQ(one.stats.kept, many.stats.kept) << where;
  EXPECT_EQ(one.rows * parallelism.shape[Axis::etp], many.rows) << where;
  for (size_t b = 0; b < one.assignments.size(); ++b)
    ASSERT_TRUE(one.assignments[b].same_routing(many.assignments[b])) << where << ", sample " << b;
}

struct Reference {
  LayerCase given;
  LayerRun one;
};

std::vector<Reference> references() {
  std::vector<Reference> out;
  for (const RouterDescriptor& router : routers()) {
    for (const double factor : {0.0, 0.75}) {
      LayerCase given = wide_case(router.name, factor);
      LayerRun one = run_layer(given);
      out.push_back({std::move(given), std::move(one)});
    }
  }
  return out;
}

// Every pair of foldings, the routers and kinds of sharding taken in turn.
void expect_law_on_all(int ranks) {
  const std::vector<Reference> cases = references();
  size_t turn = 0;
  for (const Three& attention : factorisations(ranks)) {
    for (const Three& experts : factorisations(ranks)) {
      for (const bool sp : {true, false}) {
        if (!sp && attention[2] == 1) continue;
        const Reference& with = cases[turn++ % cases.size()];
        const CpKind kind = turn % 3 == 0 ? CpKind::all_to_all : CpKind::ring;
        // A ring needs two chunks of a sequence for each rank.
        const bool fits = 16 % (2 * attention[1] * attention[2]) == 0;
        expect_law(with.given, with.one,
                   layout(attention, experts, sp, fits ? kind : CpKind::all_to_all));
      }
    }
  }
  EXPECT_GT(turn, cases.size());
}

TEST(BothFoldings, OfFourRanksGiveOneRanksResult) { expect_law_on_all(4); }

TEST(BothFoldings, OfEightRanksGiveOneRanksResult) { expect_law_on_all(8); }

// All axes at once, every router, dropless and with capacity.
TEST(BothFoldings, EveryRouterOnAllAxes) {
  for (const Reference& with : references()) {
    for (const bool sp : {true, false}) {
      expect_law(with.given, with.one, layout({2, 2, 2}, {2, 2, 2}, sp, CpKind::ring));
      expect_law(with.given, with.one, layout({1, 2, 4}, {2, 1, 4}, sp, CpKind::ring));
      expect_law(with.given, with.one, layout({1, 1, 4}, {1, 2, 2}, sp, CpKind::ring));
    }
  }
}

// A data rank without tokens still takes part in every exchange.
TEST(BothFoldings, ADataRankWithoutTokens) {
  for (const RouterDescriptor& router : routers()) {
    LayerCase given = wide_case(router.name, 0.0);
    const LayerRun one = run_layer(given);
    given.starved = 1;
    for (const bool sp : {true, false})
      expect_law(given, one, layout({2, 1, 2}, {1, 2, 2}, sp, CpKind::ring));
  }
}

Parallelism on_nodes(const Three& attention, const Three& experts, int ranks_per_node) {
  Parallelism out = layout(attention, experts, true, CpKind::ring);
  out.ep_kind = EpKind::hierarchical;
  out.ranks_per_node = ranks_per_node;
  return out;
}

TEST(Hierarchical, EveryRouterKeepsTheLaw) {
  for (Reference& with : references()) {
    for (const int overlap : {1, 2}) {
      with.given.inputs.config.overlap = overlap;
      expect_law(with.given, with.one, on_nodes({4, 1, 1}, {1, 4, 1}, 2));
      expect_law(with.given, with.one, on_nodes({2, 1, 2}, {1, 4, 1}, 1));
    }
  }
}

// Nodes of one rank, of unequal numbers of ranks, whole and divided groups, experts in parts.
TEST(Hierarchical, NodesOfAnyKind) {
  for (Reference& with : references()) {
    if (with.given.inputs.config.router != "topk") continue;
    testing::set_option(with.given, "top_k", int64_t{4});
    with.one = run_layer(with.given);
    for (const int per_node : {1, 2, 3, 4, 5, 8, 100}) {
      expect_law(with.given, with.one, on_nodes({4, 1, 2}, {1, 8, 1}, per_node));
      expect_law(with.given, with.one, on_nodes({2, 2, 2}, {2, 4, 1}, per_node));
      expect_law(with.given, with.one, on_nodes({2, 2, 2}, {1, 4, 2}, per_node));
      expect_law(with.given, with.one, on_nodes({1, 1, 4}, {1, 2, 2}, per_node));
    }
  }
}

TEST(Hierarchical, ADataRankWithoutTokens) {
  for (const RouterDescriptor& router : routers()) {
    LayerCase given = wide_case(router.name, 0.0);
    const LayerRun one = run_layer(given);
    given.starved = 1;
    expect_law(given, one, on_nodes({4, 1, 1}, {1, 4, 1}, 2));
  }
}

// All tokens go to one expert of the other node, or of the own one.
TEST(Hierarchical, ExpertsAndNodesWithoutTokens) {
  for (const RouterDescriptor& router : routers()) {
    for (const int32_t expert : {0, 7}) {
      LayerCase given = wide_case(router.name, 0.0);
      SparseAssignment all = empty_assignment(8);
      for (int64_t t = 0; t < 16; ++t) all.append(std::span(&expert, 1));
      given.replay.assign(8, all);
      const LayerRun one = run_layer(given);
      EXPECT_GT(one.stats.kept[static_cast<size_t>(expert)], 0);
      expect_law(given, one, on_nodes({4, 1, 1}, {1, 4, 1}, 2));
      expect_law(given, one, layout({2, 1, 1}, {1, 2, 1}, true, CpKind::ring));
    }
  }
}

// On one node there is nothing to save: the same bits as straight rows.
TEST(Hierarchical, OnOneNodeIsFlat) {
  const LayerCase given = wide_case("topk", 0.0);
  const LayerRun flat = run_layer(given, layout({4, 1, 1}, {1, 4, 1}, true, CpKind::ring));
  const LayerRun one = run_layer(given, on_nodes({4, 1, 1}, {1, 4, 1}, 0));
  EXPECT_EQ(flat.y, one.y);
  EXPECT_EQ(flat.dx, one.dx);
}

// Chunks of whole experts: bits do not depend on their number.
TEST(Overlap, GivesTheBitsOfOneChunk) {
  for (const DType dtype : {DType::f64, DType::f32, DType::bf16}) {
    for (const double factor : {0.0, 0.75}) {
      LayerCase given = wide_case("topk", factor);
      testing::set_option(given, "top_k", int64_t{5});
      given.inputs.compute = dtype;
      given.inputs.config.router_precision = wide(dtype);
      given.x = Tensor::from(given.x.values(), given.x.shape(), dtype, given.x.device());
      given.seed = Tensor::from(given.seed.values(), given.seed.shape(), dtype, given.x.device());
      for (const Parallelism& on : {layout({2, 1, 1}, {1, 2, 1}, true, CpKind::ring),
                                    layout({2, 1, 2}, {1, 2, 2}, true, CpKind::ring)}) {
        given.inputs.config.overlap = 1;
        const LayerRun one = run_layer(given, on);
        for (const int chunks : {2, 3, 4, 100}) {
          given.inputs.config.overlap = chunks;
          const LayerRun many = run_layer(given, on);
          EXPECT_EQ(many.y, one.y) << chunks;
          EXPECT_EQ(many.dx, one.dx) << chunks;
          EXPECT_EQ(many.gradients, one.gradients) << chunks;
          EXPECT_EQ(many.losses, one.losses) << chunks;
          EXPECT_EQ(many.rows, one.rows) << chunks;
        }
      }
    }
  }
}

TEST(Overlap, EveryRouterKeepsTheLaw) {
  for (Reference& with : references()) {
    with.given.inputs.config.overlap = 2;
    expect_law(with.given, with.one, layout({4, 1, 1}, {1, 4, 1}, true, CpKind::ring));
    expect_law(with.given, with.one, layout({1, 2, 2}, {1, 2, 2}, true, CpKind::ring));
  }
}

}  // namespace
}  // namespace troupe
