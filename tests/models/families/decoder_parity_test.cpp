// The decoder against an independent PyTorch model of the same weights
// (tools/crosscheck/decoder_parity.py).
#include <gtest/gtest.h>

#include "models/families/lookup/configured_model.h"
#include "moe/routers/table.h"
#include "parallel/comm/self_communicator.h"
#include "tests/models/families/parity.h"

namespace troupe {
namespace {

ModelConfig fixture_config(DType compute) {
  ModelConfig config;
  config.layers = 3;
  config.dim = 12;
  config.heads = 4;
  config.kv_heads = 2;
  config.head_dim = 4;
  config.ffn_dim = 20;
  config.seq_len = 11;
  config.vocab = 29;
  config.qk_norm = true;
  config.attention_bias = true;
  config.compute = compute;
  MoEConfig moe;
  moe.experts = 4;
  moe.ffn_dim = 10;
  moe.router = "topk";
  moe.router_options = Options(find_router("topk")->fields);
  moe.shared_experts = 1;
  moe.shared_ffn_dim = 6;
  moe.balance = {{"switch", 0.01, BalanceScope::sequence}, {"z", 0.001, BalanceScope::sequence}};
  moe.router_precision = wide(compute);
  config.moe = {std::nullopt, moe, moe};
  return config;
}

void check_against_fixture(DType compute, double tolerance) {
  ParityFixture fixture("decoder_parity.h5");
  auto device = Device::cpu(1);
  const Mesh mesh(MeshShape{}, self_communicator());
  const auto model = make_model(fixture_config(compute), mesh, device, 1);
  fixture.put_parameters(*model);
  const ModelOutput out = model->forward(fixture.tokens(device), fixture.targets(device));
  EXPECT_NEAR(out.loss.item(), fixture.doubles("/loss")[0], tolerance * 4);
  double balance = 0.0;
  for (const RoutingRecord& record : out.routing) {
    for (const LossTerm& term : record.losses) balance += term.value.item();
  }
  EXPECT_NEAR(balance, fixture.doubles("/balance")[0], tolerance);
  const std::vector<int64_t> counts = fixture.integers("/counts");
  for (size_t layer = 0; layer < out.routing.size(); ++layer) {
    for (size_t e = 0; e < 4; ++e)
      EXPECT_EQ(out.routing[layer].stats.selected[e], counts[layer * 4 + e]);
  }
  backward(out.loss);
  fixture.expect_gradients(*model, tolerance);
}

TEST(DecoderParity, F64) { check_against_fixture(DType::f64, 1e-10); }
TEST(DecoderParity, F32) { check_against_fixture(DType::f32, 1e-4); }

}  // namespace
}  // namespace troupe
