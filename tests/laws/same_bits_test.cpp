// The same layout gives the same bits: run again, with any number of threads, and however its axes
// of size 1 are written.
#include <gtest/gtest.h>

#include "launch/config/load.h"
#include "models/verify/layout_run.h"
#include "tests/support/law_cases.h"

namespace troupe::laws {
namespace {

uint64_t bits(const LayoutRun& law, int ranks) {
  return fingerprint(run_law_on_threads(law, ranks));
}

TEST(SameBits, ThreadsDoNotChangeThem) {
  for (DType compute : {DType::f64, DType::f32, DType::bf16}) {
    LayoutRun law{small_engine(compute, "topk")};
    law.ep = 2;
    law.threads = 1;
    const uint64_t one = bits(law, 2);
    for (int threads : {2, 4}) {
      law.threads = threads;
      EXPECT_EQ(bits(law, 2), one) << name(compute) << ", " << threads << " threads";
    }
  }
}

TEST(SameBits, ChangeWithTheSeed) {
  LayoutRun law{small_engine(DType::f64, "topk")};
  const uint64_t one = bits(law, 1);
  law.engine.seed += 1;
  EXPECT_NE(bits(law, 1), one);
}

// Every axis but dp, and what goes over it: 20 steps on 8 ranks.
TEST(SameBits, TwentyStepsOfAMixedLayout) {
  LayoutRun law{small_engine(DType::f32, "topk")};
  law.engine.model.dropout = 0.1;
  law.engine.model.moe[1]->router_options.set("noise", std::string("learned"));
  law.engine.global_batch = 4;
  law.engine.micro_batch = 2;
  law.engine.steps = law.steps = 20;
  law.layout = Parallelism(MeshShape::of({.pp = 2, .cp = 2, .tp = 2, .ep = 2, .etp = 2}));
  law.record = Recorded::nothing;
  const uint64_t once = bits(law, 8);
  EXPECT_EQ(bits(law, 8), once) << "run again";
  for (int threads : {2, 4}) {
    law.threads = threads;
    EXPECT_EQ(bits(law, 8), once) << threads << " threads";
  }
}

// What `parallel: {...}` of a configuration gives.
Parallelism parallel(const std::string& keys, int ranks) {
  const std::string text = R"(
model: {layers: 2, dim: 12, heads: 2, kv_heads: 1, ffn_dim: 16, seq_len: 8, vocab: 31}
moe: {experts: 12, ffn_dim: 10}
data: {tokenizer: byte, train: none.txt}
train: {steps: 2, global_batch: 12, micro_batch: 3}
parallel: )" + keys;
  return load_config_text(text, "same_bits.yaml", {}, ranks).config.parallel;
}

std::vector<NamedCase> models() {
  std::vector<NamedCase> list = law_cases(DType::f32);
  NamedCase dense{"dense", small_engine(DType::f32, "topk")};
  dense.engine.model.moe[1] = std::nullopt;
  list.push_back(dense);
  NamedCase tied{"tied_qk_norm_bias_recompute", small_engine(DType::f32, "topk")};
  tied.engine.model.tie_embeddings = true;
  tied.engine.model.qk_norm = true;
  tied.engine.model.attention_bias = true;
  tied.engine.model.recompute = true;
  list.push_back(tied);
  NamedCase bf16{"bf16_dropout", small_engine(DType::bf16, "topk")};
  bf16.engine.model.dropout = 0.1;
  list.push_back(bf16);
  return list;
}

class SizeOneAxes : public ::testing::TestWithParam<NamedCase> {};

// Each axis of size 1 written out, with every choice that goes with it; and all of them beside an
// axis that is longer.
TEST_P(SizeOneAxes, GiveTheSameBits) {
  LayoutRun law{GetParam().engine};
  law.steps = 2;
  law.engine.global_batch = 12;
  law.record = Recorded::nothing;
  const auto expect_bits = [&](uint64_t expected, const std::string& keys, int ranks) {
    law.layout = parallel("{" + keys + "}", ranks);
    EXPECT_EQ(bits(law, ranks), expected) << keys;
  };
  const uint64_t alone = bits(law, 1);
  for (const char* keys :
       {"dp: 1, zero: 1", "dp: 1, zero: 2", "dp: 1, zero: 3", "tp: 1, sp: false", "tp: 1, sp: true",
        "cp: 1, cp_kind: ring", "cp: 1, cp_kind: all_to_all", "pp: 1, schedule: gpipe",
        "pp: 1, schedule: zero_bubble", "pp: 1, schedule: interleaved, virtual_stages: 1",
        "ep: 1, ep_kind: hierarchical, ranks_per_node: 1", "etp: 1"}) {
    expect_bits(alone, keys, 1);
  }
  law.layout = std::nullopt;
  const uint64_t together = bits(law, 2);
  expect_bits(together, "dp: 2, tp: 1, cp: 1, pp: 1, ep: 1, etp: 1, sp: false, zero: 0", 2);
  expect_bits(together,
              "dp: 2, tp: 1, sp: true, cp: 1, cp_kind: all_to_all, pp: 1, schedule: gpipe, ep: 1, "
              "ep_kind: hierarchical, ranks_per_node: 1, etp: 1",
              2);
}

INSTANTIATE_TEST_SUITE_P(Models, SizeOneAxes, ::testing::ValuesIn(models()),
                         [](const auto& info) { return info.param.name; });

}  // namespace
}  // namespace troupe::laws
