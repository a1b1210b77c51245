// From Hugging Face's form to a checkpoint and back: the same bytes and types of every tensor, in
// whatever form the experts are, in one file or in several.
#include <gtest/gtest.h>

#include <fstream>

#include "core/base/error.h"
#include "core/formats/safetensors.h"
#include "core/formats/safetensors_folder.h"
#include "models/convert/export.h"
#include "tests/models/convert/fixture.h"

namespace troupe {
namespace {

std::vector<std::byte> bytes_of(const WeightSource& source, const SavedTensor& tensor) {
  std::vector<std::byte> bytes(static_cast<size_t>(tensor.bytes));
  source.read(tensor, 0, tensor.bytes, bytes.data());
  return bytes;
}

void expect_same(const WeightSource& a, const WeightSource& b) {
  ASSERT_EQ(a.tensors().size(), b.tensors().size());
  for (size_t i = 0; i < a.tensors().size(); ++i) {
    const SavedTensor& left = a.tensors()[i];
    const SavedTensor& right = b.tensors()[i];
    EXPECT_EQ(left.name, right.name);
    EXPECT_EQ(left.shape, right.shape) << left.name;
    EXPECT_EQ(left.type, right.type) << left.name;
    EXPECT_EQ(bytes_of(a, left), bytes_of(b, right)) << left.name;
  }
}

class RoundTrip : public testing::TestWithParam<const char*> {};

TEST_P(RoundTrip, KeepsEveryByte) {
  const HfModel source = open_hf_model(ConvertFixture::data(GetParam()));
  const ImportedModel imported(source);
  const checkpoint::Stored stored(imported.checkpoint);
  const auto types = [&](const std::string& name, DType) {
    return source.weights->find(name)->type;
  };
  const auto links = source.family->links(source.model, source.naming);
  for (const int64_t shard_bytes : {int64_t{1} << 30, int64_t{6000}}) {
    test::TemporaryDirectory out;
    const ExportPlan plan = plan_export(stored, links, types, shard_bytes);
    EXPECT_EQ(plan.files.size() > 1, shard_bytes < 10000);
    write_export(plan, stored, out.path(), [](int64_t) {});
    if (plan.files.size() > 1) std::ofstream(out / kWeightsIndex) << export_index(plan);
    const auto written = open_safetensors(out.path());
    expect_same(*source.weights, *written);
  }
}

TEST_P(RoundTrip, ConfigSaysTheSame) {
  const HfModel source = open_hf_model(ConvertFixture::data(GetParam()));
  // As it stands where the model is the same.
  const std::string kept =
      hf_config_text(*source.family, source.model, source.config, StoredType::bf16);
  EXPECT_EQ(nlohmann::json::parse(kept), nlohmann::json::parse(source.config));
  // Made anew it reads as the same model.
  const std::string made = hf_config_text(*source.family, source.model, "", StoredType::bf16);
  const ModelConfig again = read_hf_config(made, "made anew");
  EXPECT_EQ(hf_config_text(*source.family, again, "", StoredType::bf16), made);
  EXPECT_EQ(again.options.values(), source.model.options.values());
  EXPECT_EQ(again.window, source.model.window);
  EXPECT_EQ(&hf_family_for(again, source.family->model_type), source.family);
}

INSTANTIATE_TEST_SUITE_P(Families, RoundTrip,
                         testing::Values("llama", "llama_tied", "mistral", "mixtral", "qwen2",
                                         "mixtral_fused", "qwen3", "qwen3_moe", "qwen3_moe_fused",
                                         "qwen3_moe_dense_first", "gpt2"),
                         [](const auto& info) { return std::string(info.param); });

TEST(RoundTripTypes, OfHalfPrecision) {
  const HfModel source = open_hf_model(ConvertFixture::data("mixtral"));
  const ImportedModel imported(source);
  const checkpoint::Stored stored(imported.checkpoint);
  const auto links = source.family->links(source.model, source.naming);
  const auto half = [](const std::string&, DType) { return StoredType::f16; };
  test::TemporaryDirectory out;
  const ExportPlan plan = plan_export(stored, links, half, 1 << 30);
  EXPECT_EQ(plan.changed.at("bf16 to F16"), plan.parameters);
  write_export(plan, stored, out.path(), [](int64_t) {});
  std::ofstream(out / "config.json") << source.config;
  // f16 is read as f32, which has all its values.
  const HfModel again = open_hf_model(out.path());
  const ImportPlan back = plan_hf_import(again, ImportType::keep);
  EXPECT_EQ(back.changed.at("F16 to f32"), back.parameters);
  EXPECT_EQ(back.source_types, "F16");
}

}  // namespace
}  // namespace troupe
