// Sources that are not this model, and models that no class can say: each named, all at once.
#include <gtest/gtest.h>

#include <fstream>

#include "core/base/error.h"
#include "core/formats/safetensors.h"
#include "models/families/lookup/configured_model.h"
#include "tests/models/convert/fixture.h"
#include "tests/support/mutate_text.h"

namespace troupe {
namespace {

using nlohmann::json;

struct Refusal {
  ExitCode code = ExitCode::ok;
  std::string message;
  bool says(const std::string& text) const { return message.find(text) != std::string::npos; }
};

Refusal refusal_of(const std::function<void()>& f) {
  try {
    f();
  } catch (const Error& error) {
    return {error.code(), error.what()};
  }
  return {};
}

json config_of(const std::string& name) {
  std::ifstream in(ConvertFixture::data(name) + "/config.json");
  return json::parse(in);
}

Refusal config_refusal(const json& config) {
  return refusal_of([&] { read_hf_config(config.dump(), "config.json"); });
}

TEST(HfConfig, NamesEveryKeyThatIsNotSupported) {
  json config = config_of("llama");
  EXPECT_EQ(config_refusal(config).code, ExitCode::ok);
  config["hidden_act"] = "gelu";
  config["rope_parameters"] = {{"rope_type", "yarn"}, {"factor", 4.0}, {"rope_theta", 1e4}};
  config["some_new_idea"] = 3;
  config["attention_dropout"] = 0.1;
  config["mlp_bias"] = true;
  const Refusal refusal = config_refusal(config);
  EXPECT_EQ(refusal.code, ExitCode::usage);
  for (const char* key : {"hidden_act", "yarn", "some_new_idea", "attention_dropout", "mlp_bias"})
    EXPECT_TRUE(refusal.says(key)) << key << ": " << refusal.message;
}

TEST(HfConfig, NamesEveryFault) {
  json config = config_of("qwen3_moe");
  config["hidden_size"] = "wide";
  config["num_attention_heads"] = -4;
  config["num_experts_per_tok"] = 9;
  config.erase("vocab_size");
  const Refusal refusal = config_refusal(config);
  EXPECT_EQ(refusal.code, ExitCode::checkpoint);
  for (const char* key :
       {"hidden_size", "num_attention_heads", "num_experts_per_tok", "vocab_size"})
    EXPECT_TRUE(refusal.says(key)) << key << ": " << refusal.message;
}

TEST(HfConfig, SizesBeyondAllMeasureAreFaults) {
  for (const char* key : {"vocab_size", "hidden_size", "num_hidden_layers", "num_attention_heads",
                          "intermediate_size", "head_dim", "num_local_experts"}) {
    json config = config_of("qwen3_moe");
    config[key] = int64_t{1} << 39;
    EXPECT_EQ(config_refusal(config).code, ExitCode::checkpoint) << key;
  }
  for (const char* key : {"rms_norm_eps", "initializer_range"}) {
    json config = config_of("qwen3_moe");
    config[key] = -1.0;
    EXPECT_TRUE(config_refusal(config).says(key));
  }
}

// No list of 300 million tensors is made for a file that has a few.
TEST(HfTensors, MoreThanTheFilesHoldAreNotListed) {
  const std::string from = ConvertFixture::data("mixtral");
  test::TemporaryDirectory folder;
  std::filesystem::copy(from + "/model.safetensors", folder / "model.safetensors");
  json config = config_of("mixtral");
  config["num_hidden_layers"] = 4096;
  config["num_local_experts"] = 65536;
  std::ofstream(folder / "config.json") << config.dump();
  const Refusal refusal = refusal_of([&] { open_hf_model(folder.path()); });
  EXPECT_EQ(refusal.code, ExitCode::checkpoint);
  EXPECT_TRUE(refusal.says("268439552 tensors")) << refusal.message;
}

TEST(HfConfig, OldAndNewNamesAreRead) {
  // As version 4 wrote it.
  json old = config_of("mixtral");
  old.erase("rope_parameters");
  old["rope_theta"] = 1e6;
  old["rope_scaling"] = nullptr;
  old["torch_dtype"] = "bfloat16";
  old.erase("dtype");
  const ModelConfig now = read_hf_config(config_of("mixtral").dump(), "new");
  EXPECT_EQ(read_hf_config(old.dump(), "old").options.values(), now.options.values());
  old["rope_parameters"] = {{"rope_theta", 1e4}, {"rope_type", "default"}};
  EXPECT_TRUE(config_refusal(old).says("rope_theta"));
  json experts = config_of("qwen3_moe");
  const int64_t count = experts["num_local_experts"];
  experts.erase("num_local_experts");
  experts["num_experts"] = count;
  EXPECT_EQ(config_refusal(experts).code, ExitCode::ok);
  experts["num_local_experts"] = count + 1;
  EXPECT_TRUE(config_refusal(experts).says("they are one key"));
}

TEST(HfConfig, DefaultsAreThoseOfTheClass) {
  json config = config_of("mistral");
  config.erase("sliding_window");
  EXPECT_EQ(read_hf_config(config.dump(), "c").window, 4096);
  config["sliding_window"] = nullptr;
  EXPECT_EQ(read_hf_config(config.dump(), "c").window, 0);
  config.erase("rms_norm_eps");
  config.erase("num_key_value_heads");
  const ModelConfig model = read_hf_config(config.dump(), "c");
  EXPECT_EQ(model.norm_eps, 1e-6);
  EXPECT_EQ(model.kv_heads, 4);
}

TEST(HfConfig, UnknownTypesAndQuantisedWeightsAreRefused) {
  json config = config_of("llama");
  config["quantization_config"] = {{"quant_method", "gptq"}};
  EXPECT_TRUE(config_refusal(config).says("quantised"));
  config["model_type"] = "mamba";
  EXPECT_TRUE(config_refusal(config).says("mamba"));
  EXPECT_TRUE(config_refusal(config).says("mixtral")) << "what is known";
  config.erase("model_type");
  EXPECT_EQ(config_refusal(config).code, ExitCode::checkpoint);
}

// A model whose tensors are not all there, with one too many and one of another shape.
TEST(HfTensors, EveryFaultIsNamed) {
  const HfModel good = open_hf_model(ConvertFixture::data("mixtral"));
  test::TemporaryDirectory folder;
  std::vector<SavedTensor> tensors;
  for (const SavedTensor& tensor : good.weights->tensors()) {
    if (tensor.name == "model.norm.weight") continue;
    tensors.push_back(tensor);
    if (tensor.name == "lm_head.weight") tensors.back().shape = {32, 64};
    if (tensor.name == "model.layers.1.block_sparse_moe.gate.weight")
      tensors.back().type = StoredType::i16;
  }
  tensors.push_back({"model.layers.7.extra.weight", StoredType::f32, {3}, 0, 0});
  tensors.push_back({"model.layers.0.self_attn.rotary_emb.inv_freq", StoredType::f32, {4}, 0, 0});
  SafetensorsWriter(folder / "model.safetensors", tensors, {}).commit();
  std::filesystem::resize_file(
      folder / "model.safetensors",
      static_cast<uintmax_t>(SafetensorsWriter(folder / "again", tensors, {}).file_bytes()));
  std::ofstream(folder / "config.json") << good.config;
  const Refusal refusal =
      refusal_of([&] { plan_hf_import(open_hf_model(folder.path()), ImportType::keep); });
  EXPECT_EQ(refusal.code, ExitCode::checkpoint);
  for (const char* text : {"model.norm.weight [32] is missing", "lm_head.weight has shape [32, 64]",
                           "model.layers.1.block_sparse_moe.gate.weight has type I16",
                           "model.layers.7.extra.weight [3] has no place"}) {
    EXPECT_TRUE(refusal.says(text)) << text << ": " << refusal.message;
  }
  EXPECT_FALSE(refusal.says("inv_freq")) << "left out, no error";
}

TEST(HfFamilyChoice, SaysWhatEachClassLacks) {
  ModelConfig model = open_hf_model(ConvertFixture::data("mixtral")).model;
  EXPECT_EQ(hf_family_for(model, "auto").model_type, "mixtral");
  model.moe[0]->shared_experts = 1;
  const Refusal refusal = refusal_of([&] { hf_family_for(model, "auto"); });
  EXPECT_EQ(refusal.code, ExitCode::usage);
  EXPECT_TRUE(refusal.says("mixtral has not: ")) << refusal.message;
  EXPECT_TRUE(refusal.says("gpt2 has not: the family decoder")) << refusal.message;
  EXPECT_TRUE(refusal_of([&] { hf_family_for(model, "bert"); }).says("no class is named bert"));
}

TEST(HfFuzz, ConfigIsReadOrRefused) {
  const char* wanted = std::getenv("TROUPE_FUZZ_CASES");
  const int64_t cases = wanted == nullptr ? 10000 : std::atoll(wanted);
  const std::vector<std::string> valid = {config_of("qwen3_moe").dump(),
                                          config_of("mixtral").dump(), config_of("gpt2").dump(),
                                          config_of("mistral").dump()};
  int64_t read = 0;
  for (int64_t i = 0; i < cases && !testing::Test::HasFailure(); ++i) {
    std::mt19937_64 random(static_cast<uint64_t>(i));
    const std::string text = test::mutated(valid[random() % valid.size()], random);
    SCOPED_TRACE(i);
    try {
      const ModelConfig model = read_hf_config(text, "config.json");
      EXPECT_LE(model.layers, 4096);
      ++read;
    } catch (const Error& error) {
      EXPECT_TRUE(error.code() == ExitCode::checkpoint || error.code() == ExitCode::usage);
      for (const char* c = error.what(); *c != '\0'; ++c)
        EXPECT_TRUE(static_cast<unsigned char>(*c) >= 0x20 || *c == '\n') << error.what();
    }
  }
  EXPECT_GT(read, cases / 100);
  EXPECT_LT(read, cases * 9 / 10);
}

}  // namespace
}  // namespace troupe
