// Imported models compute what the classes of Hugging Face's library do: logits, every gradient,
// and greedy generation.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <map>

#include "models/convert/hf_families/table.h"
#include "tests/models/convert/fixture.h"

namespace troupe {
namespace {

class HfParity : public testing::TestWithParam<const char*> {
 protected:
  TokenContext tokens() const {
    const Shape shape = fixture_.shape("ids");
    TokenContext tokens;
    tokens.sequences = shape[0];
    tokens.seq_len = shape[1];
    tokens.token_ids = Tensor::from(fixture_.integers("ids"), {shape.elements()}, imported_.device);
    for (int64_t b = 0; b < shape[0]; ++b) tokens.samples.push_back(b);
    tokens.global_sequences = tokens.micro_batch = shape[0];
    tokens.global_tokens = shape.elements();
    tokens.training = true;
    return tokens;
  }

  const ConvertFixture fixture_{GetParam()};
  const ImportedModel imported_{fixture_.source};
};

TEST_P(HfParity, Logits) {
  const Shape shape = fixture_.shape("logits");
  const std::vector<int32_t> ids = fixture_.integers("ids");
  std::vector<double> found;
  for (int64_t b = 0; b < shape[0]; ++b) {
    ModelCache cache = imported_.model->make_cache(shape[1]);
    for (int64_t s = 0; s < shape[1]; ++s) {
      const std::vector<double> logits =
          imported_.model->decode({ids[static_cast<size_t>(b * shape[1] + s)]}, cache).values();
      found.insert(found.end(), logits.begin(), logits.end());
    }
  }
  EXPECT_LE(difference(found, fixture_.reals("logits")), 1e-5);
}

// Of each parameter; of one that is nothing but rounding (a bias on keys, which no softmax sees)
// against the root mean square of all gradients.
TEST_P(HfParity, LossAndEveryGradient) {
  const Shape shape = fixture_.shape("ids");
  const ModelOutput out = imported_.model->forward(
      tokens(), Tensor::from(fixture_.integers("targets"), {shape.elements()}, imported_.device));
  EXPECT_NEAR(out.loss.item(), fixture_.reals("loss")[0], 1e-5);
  backward(out.loss);
  std::map<std::string, std::vector<double>> found;
  for (Parameter* parameter : imported_.model->parameters()) {
    parameter->finish_gradient();
    found[parameter->name()] = parameter->gradient().values();
  }
  // In memory the classes keep all experts of a layer in one tensor.
  const HfFamily& family = *fixture_.source.family;
  const std::vector<TensorLink> links =
      family.links(fixture_.source.model, {.fused_experts = true, .prefix = family.prefix});
  std::map<std::string, std::vector<float>> expected;
  double squares = 0;
  double count = 0;
  for (const TensorLink& link : links) {
    if (expected.count(link.theirs) != 0) continue;
    expected[link.theirs] = fixture_.reals("gradient." + link.theirs);
    for (const float value : expected[link.theirs]) squares += value * value;
    count += static_cast<double>(expected[link.theirs].size());
  }
  const double floor = std::sqrt(squares / count);
  for (const TensorLink& link : links) {
    const std::vector<float>& theirs = expected[link.theirs];
    double largest = floor;
    double most = 0;
    for (int64_t i = 0; i < link.count; ++i) {
      const int64_t at = link.turned ? (i % link.columns) * link.their_shape[1] + link.their_first +
                                           i / link.columns
                                     : link.their_first + i;
      const double other = theirs[static_cast<size_t>(at)];
      const double mine = found[link.ours][static_cast<size_t>(link.first + i)];
      largest = std::max(largest, std::abs(other));
      most = std::max(most, std::abs(mine - other));
    }
    EXPECT_LE(most / largest, 5e-5) << link.ours << " and " << link.theirs;
  }
}

TEST_P(HfParity, GreedyGeneration) {
  const std::vector<int32_t> expected = fixture_.integers("greedy");
  std::vector<int32_t> text(expected.begin(), expected.begin() + 4);
  ModelCache cache = imported_.model->make_cache(static_cast<int64_t>(expected.size()));
  std::vector<int32_t> fed = text;
  while (text.size() < expected.size()) {
    const std::vector<double> logits = imported_.model->decode(fed, cache).values();
    fed = {static_cast<int32_t>(std::max_element(logits.begin(), logits.end()) - logits.begin())};
    text.push_back(fed[0]);
  }
  EXPECT_EQ(text, expected);
}

INSTANTIATE_TEST_SUITE_P(Families, HfParity,
                         testing::Values("llama", "llama_tied", "mistral", "mixtral", "qwen2",
                                         "qwen3", "qwen3_moe", "qwen3_moe_dense_first", "gpt2"),
                         [](const auto& info) { return std::string(info.param); });

// A file of every class is there, so that a new one is not forgotten.
TEST(HfFamilies, EachHasAModel) {
  for (const HfFamily& family : hf_families()) {
    const ConvertFixture fixture(family.model_type);
    EXPECT_EQ(fixture.source.family, &family);
    EXPECT_TRUE(family.lacks(fixture.source.model).empty());
  }
}

}  // namespace
}  // namespace troupe
