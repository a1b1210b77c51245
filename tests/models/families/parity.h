// Fixtures that independent implementations made of small models (tools/crosscheck).
#pragma once

#include <string>
#include <vector>

#include "core/io/hdf5/hdf5_file.h"
#include "models/model/model.h"

namespace troupe {

struct ParityFixture {
  explicit ParityFixture(const std::string& name)  // of tests/models/families/data
      : file(Hdf5File::open(std::string(TROUPE_SOURCE_DIR "/tests/models/families/data/") + name)) {
  }

  std::vector<double> doubles(const std::string& path);
  std::vector<int64_t> integers(const std::string& path);
  Shape shape(const std::string& path) { return file.dataset(path).shape(); }

  // Writes /parameters/NAME into all parameters.
  void put_parameters(Model& model);
  // /ids [B, S] as one micro-batch of training.
  TokenContext tokens(const std::shared_ptr<Device>& device);
  Tensor targets(const std::shared_ptr<Device>& device);
  // Every gradient against /gradients/NAME: the largest difference over the largest value, or over
  // the root mean square of all gradients where that is more.
  void expect_gradients(const Model& model, double tolerance);

  Hdf5File file;
};

}  // namespace troupe
