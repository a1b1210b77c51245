// What classes of Hugging Face's library computed with small models
// (tools/crosscheck/hf_families.py).
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "models/convert/hf_model.h"
#include "models/model/model.h"
#include "parallel/comm/self_communicator.h"
#include "tests/core/io/temporary_directory.h"

namespace troupe {

class ConvertFixture {
 public:
  // name: of a folder of tests/models/convert/data.
  explicit ConvertFixture(const std::string& name);

  static std::string data(const std::string& name);
  std::vector<float> reals(const std::string& name) const;
  std::vector<int32_t> integers(const std::string& name) const;
  Shape shape(const std::string& name) const;

  HfModel source;
  std::unique_ptr<WeightSource> computed;
};

// The model that an import of the source makes, read back from its checkpoint in f32.
struct ImportedModel {
  explicit ImportedModel(const HfModel& source);
  test::TemporaryDirectory folder;
  std::string checkpoint;
  std::shared_ptr<Device> device = Device::cpu(1);
  Mesh mesh{MeshShape{}, self_communicator()};
  std::unique_ptr<Model> model;
};

// The largest difference over the largest value.
double difference(const std::vector<double>& found, const std::vector<float>& expected);

}  // namespace troupe
