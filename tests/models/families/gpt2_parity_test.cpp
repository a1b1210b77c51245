// Family gpt2 against transformers' GPT2LMHeadModel with the same weights
// (tools/crosscheck/gpt2_parity.py).
#include <gtest/gtest.h>

#include <cmath>

#include "models/families/lookup/configured_model.h"
#include "parallel/comm/self_communicator.h"
#include "tests/models/families/parity.h"

namespace troupe {
namespace {

ModelConfig fixture_config(DType compute) {
  ModelConfig config;
  config.family = "gpt2";
  config.layers = 2;
  config.dim = 12;
  config.heads = 3;
  config.ffn_dim = 48;
  config.seq_len = 13;
  config.vocab = 37;
  config.compute = compute;
  config.moe.assign(2, std::nullopt);
  Options none;
  find_family("gpt2").resolve(config, none);
  return config;
}

class Gpt2Parity : public testing::TestWithParam<std::pair<DType, double>> {
 protected:
  Gpt2Parity() { fixture_.put_parameters(*model_); }

  // The largest difference over the largest value.
  void expect_near(const std::vector<double>& found, const std::vector<double>& expected) const {
    ASSERT_EQ(found.size(), expected.size());
    double largest = 0;
    double difference = 0;
    for (size_t i = 0; i < found.size(); ++i) {
      largest = std::max(largest, std::abs(expected[i]));
      difference = std::max(difference, std::abs(expected[i] - found[i]));
    }
    EXPECT_LE(difference / largest, tolerance_);
  }

  const double tolerance_ = GetParam().second;
  const std::shared_ptr<Device> device_ = Device::cpu(1);
  const Mesh mesh_{MeshShape{}, self_communicator()};
  const std::unique_ptr<Model> model_ =
      make_model(fixture_config(GetParam().first), mesh_, device_, 1);
  ParityFixture fixture_{"gpt2_parity.h5"};
};

TEST_P(Gpt2Parity, LossAndEveryGradient) {
  const ModelOutput out = model_->forward(fixture_.tokens(device_), fixture_.targets(device_));
  expect_near({out.loss.item()}, fixture_.doubles("/loss"));
  backward(out.loss);
  fixture_.expect_gradients(*model_, tolerance_);
}

// Generation gives the logits after each token, with the keys and values of those before in the
// cache; or of several tokens at once.
TEST_P(Gpt2Parity, Logits) {
  const Shape shape = fixture_.shape("/logits");
  const std::vector<int64_t> ids = fixture_.integers("/ids");
  std::vector<double> found;
  for (int64_t b = 0; b < shape[0]; ++b) {
    ModelCache cache = model_->make_cache(shape[1]);
    for (int64_t s = 0; s < shape[1]; ++s) {
      const auto id = static_cast<int32_t>(ids[static_cast<size_t>(b * shape[1] + s)]);
      const std::vector<double> logits = model_->decode({id}, cache).values();
      found.insert(found.end(), logits.begin(), logits.end());
    }
    ModelCache fresh = model_->make_cache(shape[1]);
    const auto begin = ids.begin() + b * shape[1];
    expect_near(model_->decode({begin, begin + shape[1]}, fresh).values(),
                {found.end() - shape[2], found.end()});
  }
  expect_near(found, fixture_.doubles("/logits"));
}

// The forward of training, seen through the loss of every possible next token: the logarithms of
// their probabilities.
TEST_P(Gpt2Parity, ProbabilitiesOfTraining) {
  const Shape shape = fixture_.shape("/logits");
  const int64_t vocab = shape[2];
  const int64_t tokens = shape[0] * shape[1];
  std::vector<double> expected = fixture_.doubles("/logits");
  for (int64_t t = 0; t < tokens; ++t) {
    double* row = &expected[static_cast<size_t>(t * vocab)];
    double sum = 0;
    for (int64_t v = 0; v < vocab; ++v) sum += std::exp(row[v]);
    for (int64_t v = 0; v < vocab; ++v) row[v] -= std::log(sum);
  }
  std::vector<double> found(expected.size());
  for (int64_t v = 0; v < vocab; ++v) {
    const Tensor targets =
        Tensor::from(std::vector<int32_t>(static_cast<size_t>(tokens), static_cast<int32_t>(v)),
                     {tokens}, device_);
    const std::vector<double> nll = model_->nll(fixture_.tokens(device_), targets).values();
    for (int64_t t = 0; t < tokens; ++t) {
      found[static_cast<size_t>(t * vocab + v)] = -nll[static_cast<size_t>(t)];
    }
  }
  expect_near(found, expected);
}

INSTANTIATE_TEST_SUITE_P(Types, Gpt2Parity,
                         testing::Values(std::pair(DType::f64, 1e-12), std::pair(DType::f32, 1e-5)),
                         [](const auto& info) { return info.index == 0 ? "F64" : "F32"; });

}  // namespace
}  // namespace troupe
