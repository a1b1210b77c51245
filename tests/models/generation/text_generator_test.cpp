// Text made with the cache is the text of recomputing everything for each token.
#include "models/generation/text_generator.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>

#include "core/base/error.h"
#include "models/engine/batch_tensors.h"
#include "models/families/lookup/configured_model.h"
#include "moe/routers/table.h"
#include "parallel/comm/self_communicator.h"

namespace troupe {
namespace {

struct Case {
  std::string name;
  std::string router;  // empty = dense
  DType compute = DType::f32;
  int64_t window = 0;
  std::optional<double> capacity = {};
  std::string family = "decoder";
};

ModelConfig tiny(const Case& test) {
  ModelConfig config;
  config.family = test.family;
  config.layers = 2;
  config.dim = 16;
  config.heads = 2;
  config.kv_heads = 1;
  config.head_dim = 8;
  config.ffn_dim = 24;
  config.seq_len = 16;
  config.vocab = 256;
  config.qk_norm = true;
  config.window = test.window;
  config.init_std = 0.4;  // far from uniform, so that every token matters
  config.compute = test.compute;
  config.moe.resize(2);
  if (!test.router.empty()) {
    MoEConfig moe;
    moe.experts = 4;
    moe.ffn_dim = 12;
    moe.router = test.router;
    moe.router_options = Options(find_router(test.router)->fields);
    moe.router_precision = wide(test.compute);
    moe.capacity_factor = test.capacity;
    moe.capacity_factor_eval = test.capacity;
    config.moe[1] = moe;
  }
  Options options(find_family(config.family).fields);
  if (config.family != "decoder") find_family(config.family).resolve(config, options);
  return config;
}

class TextGenerator : public ::testing::TestWithParam<Case> {
 protected:
  TextGenerator()
      : mesh_(MeshShape{}, self_communicator()),
        device_(Device::cpu(1)),
        model_(make_model(tiny(GetParam()), mesh_, device_, 5)),
        tokenizer_(load_tokenizer("byte")) {}

  std::vector<int32_t> greedy(const std::string& prompt, int64_t tokens, bool cached,
                              std::string* text = nullptr) {
    GenerationRequest request;
    request.prompt = prompt;
    request.tokens = tokens;
    request.sampling.temperature = 0;
    request.cached = cached;
    return generate_text(*model_, *tokenizer_, request,
                         [&](const std::string& piece) {
                           if (text != nullptr) *text += piece;
                         })
        .ids;
  }

  Mesh mesh_;
  std::shared_ptr<Device> device_;
  std::unique_ptr<Model> model_;
  std::unique_ptr<Tokenizer> tokenizer_;
};

TEST_P(TextGenerator, TheCacheChangesNothing) {
  // A prompt of one token, one that fills the window, one that is longer than it.
  for (const std::string prompt : {"", "t", "the king speaks ", "the actor enters and the king"}) {
    // 50 tokens pass the window of 16 several times.
    const std::vector<int32_t> cached = greedy(prompt, 50, true);
    EXPECT_EQ(cached, greedy(prompt, 50, false)) << prompt;
    EXPECT_EQ(cached.size(), 50U);
    EXPECT_GT(std::count_if(cached.begin(), cached.end(),
                            [&](int32_t id) { return id != cached.front(); }),
              5)
        << "a text of one token would show little";
  }
}

// The byte tokenizer with ends of text.
class EndingTokenizer final : public Tokenizer {
 public:
  explicit EndingTokenizer(EndOfText end) : end_(std::move(end)) {}
  std::string description() const override { return "byte with ends"; }
  int64_t vocab_size() const override { return 256; }
  void encode(std::string_view text, std::vector<int32_t>& ids) const override {
    bytes_->encode(text, ids);
  }
  std::string_view id_to_bytes(int64_t id) const override { return bytes_->id_to_bytes(id); }
  bool is_special(int64_t) const override { return false; }
  const EndOfText& end() const override { return end_; }
  size_t safe_cut(std::string_view text, size_t limit) const override {
    return bytes_->safe_cut(text, limit);
  }
  uint64_t fingerprint() const override { return 0; }
  const std::vector<std::string>& files() const override { return bytes_->files(); }

 private:
  std::unique_ptr<Tokenizer> bytes_ = load_tokenizer("byte");
  EndOfText end_;
};

TEST_P(TextGenerator, StopsAtAnyTokenThatEndsATextAndDoesNotShowIt) {
  const std::vector<int32_t> whole = greedy("the king", 30, true);
  for (const int32_t stop : {whole[0], whole[7], whole[29]}) {
    const int32_t other = stop == 255 ? 254 : 255;
    for (const EndOfText& end :
         {EndOfText{other, {other, stop}, ""}, EndOfText{stop, {stop}, ""}}) {
      const auto first = std::find_if(whole.begin(), whole.end(), [&](int32_t id) {
        return std::find(end.stop.begin(), end.stop.end(), id) != end.stop.end();
      });
      tokenizer_ = std::make_unique<EndingTokenizer>(end);
      std::string text;
      EXPECT_EQ(greedy("the king", 30, true, &text), std::vector<int32_t>(whole.begin(), first));
    }
  }
}

TEST_P(TextGenerator, WeightsThatAreNoNumbersWriteNothing) {
  Parameter& head = *model_->parameters().back();
  ASSERT_EQ(head.value().dtype(), wide(GetParam().compute));
  if (head.value().dtype() == DType::f64) {
    head.value().data<double>()[0] = std::nan("");
  } else {
    head.value().data<float>()[0] = std::nanf("");
  }
  head.value_changed();
  std::string text;
  try {
    greedy("t", 5, true, &text);
    FAIL() << "wrote " << text;
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ExitCode::numbers);
    EXPECT_NE(std::string(error.what()).find("not finite"), std::string::npos);
  }
  EXPECT_EQ(text, "");
}

// The other way to the same numbers: the loss of the text, as training and eval compute it.
TEST_P(TextGenerator, LogitsAreThoseOfTheLoss) {
  const std::vector<int32_t> ids = tokenizer_->encode("the actor enters");
  const auto length = static_cast<int64_t>(ids.size());
  TokenBatch batch;
  batch.sequences = 1;
  batch.seq_len = length - 1;
  batch.ids.assign(ids.begin(), ids.end() - 1);
  batch.targets.assign(ids.begin() + 1, ids.end());
  batch.valid.assign(static_cast<size_t>(length - 1), 1);
  batch.documents.assign(static_cast<size_t>(length - 1), 0);
  batch.samples = {0};
  batch.predictions = length - 1;
  BatchTensors tensors = to_tensors(batch, false, device_);
  tensors.context.global_sequences = 1;
  tensors.context.global_tokens = length - 1;
  tensors.context.micro_batch = 1;
  tensors.context.dropless = true;  // as generation is
  const std::vector<double> nll = model_->nll(tensors.context, tensors.targets).values();
  ModelCache cache = model_->make_cache(16);
  const double tolerance = GetParam().compute == DType::f64 ? 1e-11 : 1e-4;
  for (int64_t i = 0; i + 1 < length; ++i) {
    const auto at = static_cast<size_t>(i);
    const std::vector<double> logits = model_->decode({ids[at]}, cache).values();
    double sum = 0;
    for (const double logit : logits) sum += std::exp(logit);
    EXPECT_NEAR(std::log(sum) - logits[static_cast<size_t>(ids[at + 1])], nll[at], tolerance) << i;
  }
}

INSTANTIATE_TEST_SUITE_P(Models, TextGenerator,
                         ::testing::Values(Case{"dense", ""}, Case{"topk", "topk"},
                                           Case{"topk_f64", "topk", DType::f64},
                                           Case{"window", "topk", DType::f32, 5},
                                           Case{"switch_router", "switch"},
                                           Case{"gpt2", "", DType::f32, 0, {}, "gpt2"},
                                           Case{"gpt2_topk", "topk", DType::f64, 0, {}, "gpt2"},
                                           Case{"st_moe", "st_moe"}, Case{"hash", "hash"},
                                           Case{"capacity", "switch", DType::f32, 0, 0.5}),
                         [](const auto& info) { return info.param.name; });

TEST(WindowStart, KeepsTheWindowWithinItsSize) {
  for (const int64_t seq_len : {1, 2, 3, 16, 17}) {
    int64_t before = 0;
    for (int64_t length = 1; length < 200; ++length) {
      const int64_t start = window_start(length, seq_len);
      EXPECT_GE(start, before) << seq_len << " " << length;
      EXPECT_LE(length - start, seq_len) << seq_len << " " << length;
      EXPECT_GT(length - start, 0) << seq_len << " " << length;
      if (length > seq_len) {
        EXPECT_GE(length - start, (seq_len + 1) / 2) << seq_len << " " << length;
      }
      before = start;
    }
  }
}

}  // namespace
}  // namespace troupe
