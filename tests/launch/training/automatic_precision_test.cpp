#include "launch/training/automatic_precision.h"

#include <gtest/gtest.h>

#include "core/kernels/cpu/product.h"
#include "launch/config/load.h"
#include "launch/config/resolved.h"
#include "launch/config/resume.h"
#include "parallel/comm/thread/thread_world.h"

namespace troupe {
namespace {

RunConfig config(const std::string& compute) {
  return load_config_text(R"(
model: {layers: 1, dim: 16, heads: 2, seq_len: 8}
moe: {experts: 2, ffn_dim: 16}
data: {tokenizer: byte, train: none.txt}
train: {steps: 2, global_batch: 2}
)",
                          "precision.yaml", {"precision.compute=" + compute}, 1)
      .config;
}

TEST(AutomaticPrecision, BeginsAsThisProcessorSays) {
  const RunConfig automatic = config("auto");
  const std::string chosen = kernels::cpu::hardware_bf16() ? "bf16" : "f32";
  EXPECT_EQ(name(automatic.model.compute), chosen);
  EXPECT_EQ(describe_precision(automatic), chosen + " (auto)");
  EXPECT_EQ(describe_precision(config("f32")), "f32");
  EXPECT_NE(resolved_yaml(automatic).find("auto -> " + chosen + ", command line"),
            std::string::npos);
  EXPECT_EQ(config_hash(automatic), config_hash(config(chosen)));
}

TEST(AutomaticPrecision, IsBf16OnlyWhereEveryRankMultipliesIt) {
  for (const std::vector<bool>& hardware :
       {std::vector<bool>{true, true}, {true, false}, {false, true}, {false, false}}) {
    const bool all = hardware[0] && hardware[1];
    run_ranks(2, [&](int rank, const std::shared_ptr<Communicator>& world) {
      const auto device = Device::cpu(1);
      const bool own = hardware[static_cast<size_t>(rank)];
      RunConfig automatic = config("auto");
      EXPECT_EQ(agree_on_precision(automatic, own, *world, device), all);
      EXPECT_EQ(automatic.model.compute, all ? DType::bf16 : DType::f32);
      EXPECT_EQ(automatic.values.text("precision.compute"), all ? "bf16" : "f32");
      RunConfig given = config("f64");
      agree_on_precision(given, own, *world, device);
      EXPECT_EQ(given.model.compute, DType::f64);
    });
  }
}

TEST(AutomaticPrecision, ARunThatGoesOnKeepsWhatItBeganWith) {
  for (const char* began : {"f64", "f32", "bf16"}) {
    const RunConfig stored = config(began);
    RunConfig now = config("auto");
    keep_precision(now, stored);
    EXPECT_EQ(describe_precision(now), std::string(began) + " (auto)");
    EXPECT_EQ(now.model.moe[0]->router_precision, stored.model.moe[0]->router_precision);
    EXPECT_TRUE(changes(stored, now).empty());
  }
  RunConfig given = config("f32");
  keep_precision(given, config("bf16"));
  EXPECT_EQ(given.model.compute, DType::f32);
}

TEST(AutomaticPrecision, SlowBf16IsSaid) {
  EXPECT_EQ(slow_precision(config("f32"), false, false), "");
  EXPECT_EQ(slow_precision(config("bf16"), true, true), "");
  EXPECT_NE(slow_precision(config("bf16"), false, false),
            slow_precision(config("bf16"), false, true));
}

}  // namespace
}  // namespace troupe
