#include "tests/models/families/parity.h"

#include <gtest/gtest.h>

#include <cmath>

namespace troupe {
namespace {

template <typename T>
std::vector<T> read(Hdf5File& file, const std::string& path) {
  Hdf5Dataset dataset = file.dataset(path);
  const Shape shape = dataset.shape();
  std::vector<T> values(static_cast<size_t>(shape.elements()));
  Shape origin = shape;
  for (int i = 0; i < origin.rank(); ++i) origin[i] = 0;
  dataset.read(origin, shape, values.data());
  return values;
}

Tensor integers_as_tensor(const std::vector<int64_t>& values,
                          const std::shared_ptr<Device>& device) {
  return Tensor::from(std::vector<int32_t>(values.begin(), values.end()),
                      {static_cast<int64_t>(values.size())}, device);
}

}  // namespace

std::vector<double> ParityFixture::doubles(const std::string& path) {
  return read<double>(file, path);
}

std::vector<int64_t> ParityFixture::integers(const std::string& path) {
  return read<int64_t>(file, path);
}

void ParityFixture::put_parameters(Model& model) {
  for (Parameter* parameter : model.parameters()) {
    const std::vector<double> values = doubles("/parameters/" + parameter->name());
    ASSERT_EQ(static_cast<int64_t>(values.size()), parameter->value().elements())
        << parameter->name();
    for (size_t i = 0; i < values.size(); ++i) {
      if (parameter->value().dtype() == DType::f64) {
        parameter->value().data<double>()[i] = values[i];
      } else {
        parameter->value().data<float>()[i] = static_cast<float>(values[i]);
      }
    }
    parameter->value_changed();
  }
}

TokenContext ParityFixture::tokens(const std::shared_ptr<Device>& device) {
  const Shape shape = this->shape("/ids");
  std::vector<int64_t> samples;
  for (int64_t b = 0; b < shape[0]; ++b) samples.push_back(b);
  TokenContext tokens =
      token_context(samples, shape[1], integers_as_tensor(integers("/ids"), device),
                    {.sequences = shape[0], .tokens = shape.elements(), .micro_batch = shape[0]});
  tokens.training = true;
  return tokens;
}

Tensor ParityFixture::targets(const std::shared_ptr<Device>& device) {
  return integers_as_tensor(integers("/targets"), device);
}

void ParityFixture::expect_gradients(const Model& model, double tolerance) {
  std::vector<std::vector<double>> expected;
  double squares = 0;
  double elements = 0;
  for (const Parameter* parameter : model.parameters()) {
    expected.push_back(doubles("/gradients/" + parameter->name()));
    for (const double value : expected.back()) squares += value * value;
    elements += static_cast<double>(expected.back().size());
  }
  const double floor = std::sqrt(squares / elements);
  for (size_t p = 0; p < expected.size(); ++p) {
    Parameter& parameter = *model.parameters()[p];
    parameter.finish_gradient();
    const std::vector<double> found = parameter.gradient().values();
    ASSERT_EQ(found.size(), expected[p].size()) << parameter.name();
    double largest = floor;
    double difference = 0;
    for (size_t i = 0; i < found.size(); ++i) {
      largest = std::max(largest, std::abs(expected[p][i]));
      difference = std::max(difference, std::abs(expected[p][i] - found[i]));
    }
    EXPECT_LE(difference / largest, tolerance) << parameter.name();
  }
}

}  // namespace troupe
