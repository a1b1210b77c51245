// The verifier can fail: known bugs of distributed training are planted one by one, each is caught
// on a layout that shows it, and named by the tensor in which it shows.
#include <gtest/gtest.h>

#include <tuple>

#include "models/verify/verifier.h"

namespace troupe {
namespace {

using laws::small_engine;

struct Planted {
  std::string name;
  PlantedBug bug;
  Parallelism layout;
  std::string tensor;  // its name begins with this
  std::function<void(EngineConfig&)> change = [](EngineConfig&) {};
  std::string as_wrong = {};  // or with this, where rounding decides between two
};

void PrintTo(const Planted& planted, std::ostream* out) { *out << planted.name; }

Parallelism with(const Degrees& degrees, const std::function<void(Parallelism&)>& change) {
  Parallelism out(MeshShape::of(degrees));
  change(out);
  return out;
}

std::vector<Planted> planted_bugs() {
  const auto without_sp = [](Parallelism& p) { p.sp = false; };
  const auto two_nodes = [](Parallelism& p) {
    p.ep_kind = EpKind::hierarchical;
    p.ranks_per_node = 2;
  };
  return {
      {"GradientTwiceUnderEp", PlantedBug::gradient_twice_under_ep,
       MeshShape::of({.dp = 2, .ep = 2}), "layers.1.moe.experts."},
      {"AveragedOverTheWrongGroup", PlantedBug::averaged_over_wrong_group,
       MeshShape::of({.pp = 2, .dp = 2}), "embedding.weight",  // summed over both stages and dp
       [](EngineConfig& engine) { engine.model.tie_embeddings = true; }, "norm.weight"},
      {"NormWithoutExperts", PlantedBug::norm_without_experts, MeshShape::of({.dp = 2, .ep = 2}),
       "gradient_norm"},
      {"BalanceScaleOfMicroBatches", PlantedBug::balance_scale_of_micro_batches,
       MeshShape::of({.dp = 2}), "layers.1.moe.switch", [](EngineConfig&) {}, "layers.1.moe.z"},
      {"BalanceScaleUnderCp", PlantedBug::balance_scale_under_cp, MeshShape::of({.cp = 2, .ep = 2}),
       "layers.1.moe.router.weight"},
      {"BalanceScaleUnderTp", PlantedBug::balance_scale_under_tp, MeshShape::of({.tp = 2}),
       "layers.1.moe.switch", [](EngineConfig&) {}, "layers.1.moe.z"},
      {"RouterGradientTwiceUnderTp", PlantedBug::router_gradient_twice_under_tp,
       with({.tp = 2, .ep = 2}, without_sp), "layers.1.moe.router.weight"},
      {"StatisticTwiceByRecompute", PlantedBug::statistic_twice_by_recompute,
       MeshShape::of({.dp = 2}), "layers.1.moe.router.counts",
       [](EngineConfig& engine) { engine.model.recompute = true; }},
      {"StageOrder", PlantedBug::stage_order, MeshShape::of({.pp = 2}), "layers."},
      {"LostTokenInTheSecondHop", PlantedBug::lost_token_in_second_hop,
       with({.dp = 4, .ep = 4}, two_nodes), "layers.1.moe.experts."},
      {"StaleBucket", PlantedBug::stale_bucket, MeshShape::of({.dp = 2}),
       "layers.1.moe.experts.gate_up", [](EngineConfig&) {}, "embedding.weight"},  // of one bucket
      {"WrongShardOffset", PlantedBug::wrong_shard_offset,
       with({.dp = 2}, [](Parallelism& p) { p.zero = 1; }), "layers."},
      {"RandomNumbersOfEachRank", PlantedBug::random_numbers_of_each_rank, MeshShape::of({.dp = 2}),
       "layers.1.moe.router.",
       [](EngineConfig& engine) {
         engine.model.moe[1]->router_options.set("noise", std::string("learned"));
       }},
  };
}

class PlantedBugs : public ::testing::TestWithParam<std::tuple<Planted, DType>> {};

TEST_P(PlantedBugs, AreCaughtAndNamed) {
  const auto& [planted, compute] = GetParam();
  VerifyCase verify{small_engine(compute, "topk")};
  verify.engine.model.moe[1]->balance = {{"switch", 0.05, BalanceScope::sequence},
                                         {"z", 0.01, BalanceScope::sequence}};
  verify.steps = 2;
  planted.change(verify.engine);
  Verifier verifier(verify);
  VerifiedLayout layout{planted.layout, 1, {}};
  const auto run = run_on_threads(layout.parallelism.shape.world(), std::chrono::seconds(60));
  const double tolerance = tolerance_of(compute);
  const Verdict sound = verifier.check(layout, run);
  EXPECT_TRUE(sound.same(tolerance)) << sound.worst << " in " << sound.where << sound.error;
  layout.parallelism.planted = planted.bug;
  const Verdict caught = verifier.check(layout, run);
  EXPECT_FALSE(caught.same(tolerance));
  const auto begins = [&](const std::string& with) {
    return caught.tensor.compare(0, with.size(), with) == 0;
  };
  const bool tied = compute != DType::f64 && !planted.as_wrong.empty() && begins(planted.as_wrong);
  EXPECT_TRUE(begins(planted.tensor) || tied)
      << caught.tensor << " by " << caught.worst << " in " << caught.where << caught.error;
}

INSTANTIATE_TEST_SUITE_P(All, PlantedBugs,
                         ::testing::Combine(::testing::ValuesIn(planted_bugs()),
                                            ::testing::Values(DType::f64, DType::f32, DType::bf16)),
                         [](const auto& info) {
                           return std::get<0>(info.param).name +
                                  std::string(name(std::get<1>(info.param)));
                         });

}  // namespace
}  // namespace troupe
