#include "tests/models/convert/fixture.h"

#include <gtest/gtest.h>

#include <cmath>

#include "core/formats/safetensors_folder.h"
#include "models/families/lookup/configured_model.h"
#include "parallel/checkpoint/checkpoint.h"

namespace troupe {

std::string ConvertFixture::data(const std::string& name) {
  return std::string(TROUPE_SOURCE_DIR "/tests/models/convert/data/") + name;
}

ConvertFixture::ConvertFixture(const std::string& name)
    : source(open_hf_model(data(name))), computed(open_safetensors(data(name) + ".safetensors")) {}

std::vector<float> ConvertFixture::reals(const std::string& name) const {
  const SavedTensor& tensor = *computed->find(name);
  std::vector<float> values(static_cast<size_t>(tensor.bytes) / sizeof(float));
  computed->read(tensor, 0, tensor.bytes, reinterpret_cast<std::byte*>(values.data()));
  return values;
}

std::vector<int32_t> ConvertFixture::integers(const std::string& name) const {
  const SavedTensor& tensor = *computed->find(name);
  std::vector<int32_t> values(static_cast<size_t>(tensor.bytes) / sizeof(int32_t));
  computed->read(tensor, 0, tensor.bytes, reinterpret_cast<std::byte*>(values.data()));
  return values;
}

Shape ConvertFixture::shape(const std::string& name) const {
  Shape shape;
  for (const int64_t size : computed->find(name)->shape) shape.append(size);
  return shape;
}

ImportedModel::ImportedModel(const HfModel& source) : checkpoint(folder / "model.h5") {
  const ImportPlan plan = plan_hf_import(source, ImportType::keep);
  write_import(plan, *source.weights, checkpoint, "", {}, [](int64_t) {});
  ModelConfig config = source.model;
  config.dropout = 0;  // as the classes compute in evaluation
  model = make_model(config, mesh, device, 1);
  State state;
  for (Parameter* parameter : model->parameters()) {
    append_parts(state, "parameters/" + parameter->name(), parameter->layout(), parameter->slice(),
                 parameter->value());
  }
  checkpoint::LoadOptions options;
  options.widen = true;
  checkpoint::load(checkpoint, state, *self_communicator(), options);
  for (Parameter* parameter : model->parameters()) parameter->value_changed();
}

double difference(const std::vector<double>& found, const std::vector<float>& expected) {
  EXPECT_EQ(found.size(), expected.size());
  double largest = 0;
  double most = 0;
  for (size_t i = 0; i < std::min(found.size(), expected.size()); ++i) {
    largest = std::max(largest, std::abs(static_cast<double>(expected[i])));
    most = std::max(most, std::abs(expected[i] - found[i]));
  }
  return most / largest;
}

}  // namespace troupe
