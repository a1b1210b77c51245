// A model as YAML loads back to the same model, with every key that another program can say.
#include "launch/config/model_text.h"

#include <gtest/gtest.h>

#include <set>

#include "launch/config/load.h"
#include "launch/config/resume.h"

namespace troupe {
namespace {

constexpr const char* kRest =
    "data: {tokenizer: byte, train: x.txt}\ntrain: {steps: 1, global_batch: 1}\n";

RunConfig config_of(const std::string& model) {
  return load_config_text(model + kRest, "test.yaml", {}, 1, Purpose::eval).config;
}

// Every key has a value of its own.
const std::vector<std::string>& models() {
  static const std::vector<std::string> texts = {
      R"(model: {family: decoder, layers: 3, dim: 48, heads: 6, kv_heads: 3, head_dim: 10, ffn_dim: 40,
  seq_len: 24, vocab: 300, norm_eps: 3.0e-06, dropout: 0.25, window: 7, init_std: 0.015,
  tie_embeddings: true, rope_theta: 77777.5, qk_norm: true, attention_bias: true,
  attention_output_bias: false}
)",
      R"(model: {family: gpt2, layers: 2, dim: 48, heads: 6, ffn_dim: 40, seq_len: 24, vocab: 300}
)",
      R"(model: {family: decoder, layers: 3, dim: 48, heads: 6, seq_len: 24, vocab: 300}
moe: {layers: [0, 2], experts: 5, ffn_dim: 12, shared_experts: 2, shared_ffn_dim: 9,
  router: {type: topk, top_k: 3, score: sigmoid, renormalize: false, scale: 2.5}}
)",
      R"(model: {family: decoder, layers: 2, dim: 48, heads: 6, seq_len: 24, vocab: 300}
moe: {experts: 4, ffn_dim: 12, router: {type: topk, top_k: 1}}
)"};
  return texts;
}

TEST(ModelText, LoadsBackToTheSameModel) {
  for (const std::string& text : models()) {
    const RunConfig before = config_of(text);
    const RunConfig after = config_of(model_text(before.model));
    for (const Change& change : changes(before, after)) {
      // Layers may be said in two ways.
      if (change.key.rfind("moe.layers", 0) == 0) continue;
      ADD_FAILURE() << change.key << " was " << change.before << ", is " << change.after << "\n"
                    << model_text(before.model);
    }
    ASSERT_EQ(after.model.moe.size(), before.model.moe.size());
    for (size_t i = 0; i < after.model.moe.size(); ++i)
      EXPECT_EQ(after.model.moe[i].has_value(), before.model.moe[i].has_value()) << i;
  }
}

// A new key of `model` has its place in the text, or is listed here.
TEST(ModelText, NoKeyIsForgotten) {
  const std::set<std::string> not_of_the_model = {"model.init", "model.recompute"};
  std::set<std::string> given;
  std::set<std::string> all;
  for (const std::string& text : models()) {
    const RunConfig config = config_of(text);
    for (const ConfigValue& entry : config.values.entries()) {
      if (entry.path.rfind("model.", 0) != 0) continue;
      all.insert(entry.path);
      if (entry.place.source != Source::none) given.insert(entry.path);
    }
  }
  for (const std::string& key : all)
    EXPECT_TRUE(given.count(key) + not_of_the_model.count(key) == 1) << key;
}

}  // namespace
}  // namespace troupe
