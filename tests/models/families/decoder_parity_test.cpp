// The decoder against an independent PyTorch model of the same weights
// (tools/crosscheck/decoder_parity.py).
#include <gtest/gtest.h>

#include <cmath>
#include <string>

#include "core/io/hdf5_file.h"
#include "models/families/lookup/configured_model.h"
#include "moe/routers/table.h"
#include "parallel/comm/self_communicator.h"

namespace troupe {
namespace {

constexpr const char* kFixture = TROUPE_SOURCE_DIR "/tests/models/families/data/decoder_parity.h5";

std::vector<double> read_doubles(Hdf5File& file, const std::string& path, Shape& shape) {
  Hdf5Dataset dataset = file.dataset(path);
  shape = dataset.shape();
  std::vector<double> values(static_cast<size_t>(shape.elements()));
  Shape origin = shape;
  for (int i = 0; i < origin.rank(); ++i) origin[i] = 0;
  dataset.read(origin, shape, values.data());
  return values;
}

std::vector<int64_t> read_integers(Hdf5File& file, const std::string& path, Shape& shape) {
  Hdf5Dataset dataset = file.dataset(path);
  shape = dataset.shape();
  std::vector<int64_t> values(static_cast<size_t>(shape.elements()));
  Shape origin = shape;
  for (int i = 0; i < origin.rank(); ++i) origin[i] = 0;
  dataset.read(origin, shape, values.data());
  return values;
}

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

void store(const Parameter& parameter, const std::vector<double>& values) {
  for (size_t i = 0; i < values.size(); ++i) {
    if (parameter.value().dtype() == DType::f64) {
      parameter.value().data<double>()[i] = values[i];
    } else {
      parameter.value().data<float>()[i] = static_cast<float>(values[i]);
    }
  }
}

void check_against_fixture(DType compute, double tolerance) {
  auto file = Hdf5File::open(kFixture);
  auto device = Device::cpu(1);
  const Mesh mesh(MeshShape{}, self_communicator());
  const ModelConfig config = fixture_config(compute);
  const auto model = make_model(config, mesh, device, 1);
  Shape shape;
  for (Parameter* parameter : model->parameters()) {
    const std::vector<double> values =
        read_doubles(file, "/parameters/" + parameter->name(), shape);
    ASSERT_EQ(shape.elements(), parameter->value().elements()) << parameter->name();
    store(*parameter, values);
    parameter->value_changed();
  }
  const std::vector<int64_t> ids = read_integers(file, "/ids", shape);
  const std::vector<int64_t> targets = read_integers(file, "/targets", shape);
  const int64_t sequences = shape[0];
  const int64_t count = shape.elements();
  TokenContext tokens;
  tokens.sequences = sequences;
  tokens.seq_len = shape[1];
  tokens.token_ids = Tensor::from(std::vector<int32_t>(ids.begin(), ids.end()), {count}, device);
  for (int64_t b = 0; b < sequences; ++b) tokens.samples.push_back(b);
  tokens.global_sequences = tokens.micro_batch = sequences;
  tokens.global_tokens = count;
  tokens.training = true;
  const Tensor target_T =
      Tensor::from(std::vector<int32_t>(targets.begin(), targets.end()), {count}, device);

  const ModelOutput out = model->forward(tokens, target_T);
  EXPECT_NEAR(out.loss.item(), read_doubles(file, "/loss", shape)[0], tolerance * 4);
  double balance = 0.0;
  for (const RoutingRecord& record : out.routing) {
    for (const LossTerm& term : record.losses) balance += term.value.item();
  }
  EXPECT_NEAR(balance, read_doubles(file, "/balance", shape)[0], tolerance);
  const std::vector<int64_t> counts = read_integers(file, "/counts", shape);
  for (size_t layer = 0; layer < out.routing.size(); ++layer) {
    for (size_t e = 0; e < 4; ++e)
      EXPECT_EQ(out.routing[layer].stats.selected[e], counts[layer * 4 + e]);
  }

  backward(out.loss);
  for (Parameter* parameter : model->parameters()) {
    const std::vector<double> expected =
        read_doubles(file, "/gradients/" + parameter->name(), shape);
    parameter->finish_gradient();
    const std::vector<double> found = parameter->gradient().values();
    double largest = 1e-6;
    double difference = 0.0;
    for (size_t i = 0; i < expected.size(); ++i) {
      largest = std::max(largest, std::abs(expected[i]));
      difference = std::max(difference, std::abs(expected[i] - found[i]));
    }
    EXPECT_LE(difference / largest, tolerance) << parameter->name();
  }
}

TEST(DecoderParity, F64) { check_against_fixture(DType::f64, 1e-10); }
TEST(DecoderParity, F32) { check_against_fixture(DType::f32, 1e-4); }

}  // namespace
}  // namespace troupe
