// Initial values as the field draws them, and dropout in training only.
#include <gtest/gtest.h>

#include <cmath>

#include "core/autograd/tape.h"
#include "models/families/lookup/configured_model.h"
#include "moe/routers/table.h"
#include "parallel/comm/self_communicator.h"

namespace troupe {
namespace {

ModelConfig small() {
  ModelConfig config;
  config.layers = 2;
  config.dim = 64;
  config.heads = 4;
  config.kv_heads = 2;
  config.head_dim = 16;
  config.ffn_dim = 96;
  config.seq_len = 16;
  config.vocab = 128;
  config.qk_norm = true;
  config.attention_bias = true;
  config.init_std = 0.05;
  MoEConfig moe;
  moe.experts = 4;
  moe.ffn_dim = 48;
  moe.router_options = Options(find_router("topk")->fields);
  moe.shared_experts = 1;
  moe.shared_ffn_dim = 48;
  config.moe = {std::nullopt, moe};
  return config;
}

bool ends_with(const std::string& text, const std::string& end) {
  return text.size() >= end.size() && text.compare(text.size() - end.size(), end.size(), end) == 0;
}

// Projections back into the residual stream are drawn with std / sqrt(2 layers).
TEST(Decoder, InitialValues) {
  const Mesh mesh(MeshShape{}, self_communicator());
  const auto model = make_model(small(), mesh, Device::cpu(1), 3);
  int residual = 0;
  for (Parameter* parameter : model->parameters()) {
    const std::string& name = parameter->name();
    const std::vector<double> values = parameter->value().values();
    double sum = 0.0;
    double squares = 0.0;
    for (const double v : values) {
      sum += v;
      squares += v * v;
    }
    const auto n = static_cast<double>(values.size());
    if (name.find("norm") != std::string::npos) {
      EXPECT_EQ(values, std::vector<double>(values.size(), 1.0)) << name;
      EXPECT_FALSE(parameter->decays()) << name;
      continue;
    }
    if (ends_with(name, ".bias")) {
      EXPECT_EQ(values, std::vector<double>(values.size(), 0.0)) << name;
      EXPECT_FALSE(parameter->decays()) << name;
      continue;
    }
    const bool back = ends_with(name, ".o.weight") || name.find(".down") != std::string::npos;
    residual += back ? 1 : 0;
    const double wanted = back ? 0.05 / 2.0 : 0.05;  // sqrt(2 x 2 layers)
    EXPECT_TRUE(parameter->decays()) << name;
    EXPECT_NEAR(std::sqrt(squares / n) / wanted, 1.0, 5.0 / std::sqrt(2.0 * n)) << name;
    EXPECT_NEAR(sum / n, 0.0, 5.0 * wanted / std::sqrt(n)) << name;
  }
  EXPECT_EQ(residual, 5);  // two attentions, a dense layer, experts, a shared expert
}

TEST(Decoder, DropsInTrainingOnlyAndByStep) {
  ModelConfig config = small();
  const Mesh mesh(MeshShape{}, self_communicator());
  const auto device = Device::cpu(1);
  const auto loss = [&](double dropout, bool training, int64_t step) {
    config.dropout = dropout;
    const auto model = make_model(config, mesh, device, 3);
    std::vector<int32_t> ids(32);
    for (size_t i = 0; i < ids.size(); ++i) ids[i] = static_cast<int32_t>(i * 37 % 128);
    TokenContext tokens = token_context({0, 1}, 16, Tensor::from(ids, {32}, device),
                                        {.sequences = 2, .tokens = 32, .micro_batch = 2});
    tokens.training = training;
    tokens.step = step;
    const NoGrad no_grad;
    return model->forward(tokens, tokens.token_ids).loss.item();
  };
  const double plain = loss(0.0, true, 0);
  EXPECT_EQ(loss(0.3, false, 0), plain);
  EXPECT_NE(loss(0.3, true, 0), plain);
  EXPECT_EQ(loss(0.3, true, 0), loss(0.3, true, 0));
  EXPECT_NE(loss(0.3, true, 1), loss(0.3, true, 0));
}

}  // namespace
}  // namespace troupe
