#include "core/parameter/parameter.h"

#include <gtest/gtest.h>

#include <cmath>
#include <memory>

#include "core/base/error.h"
#include "core/kernels/packed_weights.h"

namespace troupe {
namespace {

std::unique_ptr<Parameter> make(const Shape& global, const Box& box, DType compute, Init init,
                                const std::shared_ptr<Device>& device) {
  return std::make_unique<Parameter>("layers.0.w",
                                     Layout::replicated(global, MeshKind::attention, {}), box,
                                     compute, init, true, device);
}

std::unique_ptr<Parameter> whole(const Shape& global, DType compute = DType::f64,
                                 Init init = {Init::Kind::normal, 0.5}) {
  Shape zero = global;
  for (int dim = 0; dim < zero.rank(); ++dim) zero[dim] = 0;
  return make(global, {zero, global}, compute, init, Device::cpu(2));
}

TEST(Parameter, EachPartDrawsTheNumbersOfTheWhole) {
  const auto all = whole({4, 6, 5});
  all->initialize(11);
  const std::vector<double> values = all->value().values();
  const auto part = make({4, 6, 5}, {{1, 2, 3}, {2, 3, 2}}, DType::f64, {Init::Kind::normal, 0.5},
                         Device::cpu(1));
  part->initialize(11);
  const std::vector<double> part_values = part->value().values();
  size_t at = 0;
  for (size_t i = 1; i < 3; ++i) {
    for (size_t j = 2; j < 5; ++j) {
      for (size_t k = 3; k < 5; ++k) EXPECT_EQ(part_values[at++], values[(i * 6 + j) * 5 + k]);
    }
  }
  const auto narrow = whole({4, 6, 5}, DType::bf16);
  narrow->initialize(11);
  EXPECT_EQ(narrow->value().dtype(), DType::f32);
  for (size_t i = 0; i < values.size(); ++i) {
    EXPECT_EQ(narrow->value().values()[i], static_cast<float>(values[i]));
  }
  all->initialize(12);
  EXPECT_NE(all->value().values(), values);
}

// A value whose memory is away is drawn when somebody has taken memory for it.
TEST(Parameter, IsDrawnWhenItHasMemory) {
  const auto all = whole({4, 6});
  const auto late = whole({4, 6});
  all->initialize(11);
  late->value().storage()->free();
  late->initialize(11);
  EXPECT_FALSE(late->value().storage()->held());
  late->value().storage()->allocate();
  late->draw();
  EXPECT_EQ(late->value().values(), all->value().values());
}

// The owner's memory is what counts; the value and its forms come and go.
TEST(Parameter, OwnedValueInMemoryOfItsOwn) {
  const auto p = whole({64, 32}, DType::bf16);
  p->initialize(5);
  const std::vector<double> before = p->compute_value().values();
  p->own({100, 50});
  EXPECT_EQ(p->owned_value().values()[0], p->value().values()[100]);
  EXPECT_FALSE(p->keeps_owned_value_only());
  const auto device = p->value().device();
  const Tensor memory = Tensor::empty({64, 32}, DType::f32, device, MemoryKind::parameter);
  const Tensor owned = Tensor::zeros({50}, DType::f32, device, MemoryKind::parameter);
  EXPECT_THROW(p->place_value(memory, memory), Error);
  EXPECT_THROW(p->place_value(owned, owned), Error);
  p->place_value(memory, owned);
  EXPECT_TRUE(p->keeps_owned_value_only());
  EXPECT_EQ(p->owned_value().storage(), owned.storage());
  std::copy(before.begin(), before.end(), memory.data<float>());
  EXPECT_EQ(p->compute_value().values(), before);
  const int64_t with_forms = device->memory().of(MemoryKind::parameter).current;
  p->drop_forms();
  EXPECT_LT(device->memory().of(MemoryKind::parameter).current, with_forms);
  std::fill_n(memory.data<float>(), memory.elements(), 1.0F);
  EXPECT_EQ(p->compute_value().values(), std::vector<double>(before.size(), 1.0));
}

TEST(Parameter, InitialDistribution) {
  const auto normal = whole({100, 100}, DType::f64, {Init::Kind::normal, 0.02});
  normal->initialize(1);
  double sum = 0;
  double squares = 0;
  for (double value : normal->value().values()) {
    sum += value;
    squares += value * value;
  }
  EXPECT_NEAR(sum / 1e4, 0, 1e-3);
  EXPECT_NEAR(std::sqrt(squares / 1e4), 0.02, 1e-3);
  for (const auto& [init, expected] :
       std::vector<std::pair<Init, double>>{{{Init::Kind::zeros, 3}, 0},
                                            {{Init::Kind::ones, 3}, 1},
                                            {{Init::Kind::constant, 3}, 3}}) {
    const auto constant = whole({2}, DType::f32, init);
    constant->initialize(1);
    EXPECT_EQ(constant->value().values(), std::vector<double>(2, expected));
  }
}

TEST(Parameter, GradientIsReadyWhenAllUsesHaveGivenTheirs) {
  const auto parameter = whole({3});
  parameter->initialize(1);
  int ready = 0;
  parameter->on_gradient_ready([&](Parameter& which) {
    EXPECT_EQ(&which, parameter.get());
    ++ready;
  });
  parameter->use();
  parameter->use();
  const Tensor gradient = Tensor::full({3}, DType::f32, 2, parameter->value().device());
  parameter->accumulate(gradient);
  EXPECT_EQ(ready, 0);
  EXPECT_FALSE(parameter->gradient_is_fresh());
  parameter->accumulate(gradient);
  EXPECT_EQ(ready, 1);
  EXPECT_EQ(parameter->gradient().values(), std::vector<double>(3, 4.0));
  parameter->zero_gradient();
  parameter->use();
  parameter->accumulate(gradient);
  EXPECT_EQ(ready, 2);
  EXPECT_EQ(parameter->gradient().values(), std::vector<double>(3, 2.0));
}

TEST(Parameter, UsesWithoutGradientAreNotAwaited) {
  const auto parameter = whole({3});
  parameter->initialize(1);
  int ready = 0;
  parameter->on_gradient_ready([&](Parameter&) { ++ready; });
  {
    NoGrad no_grad;
    EXPECT_FALSE(parameter->as_tensor().needs_gradient());
  }
  const Tensor leaf = parameter->as_tensor();
  const Tensor seed = Tensor::full({3}, DType::f64, 5, parameter->value().device());
  backward({&leaf, 1}, {&seed, 1});
  EXPECT_EQ(ready, 1);
  EXPECT_EQ(parameter->gradient().values(), std::vector<double>(3, 5.0));
}

TEST(Parameter, RecomputedUsesCountOnce) {
  const auto parameter = whole({3});
  parameter->initialize(1);
  int ready = 0;
  parameter->on_gradient_ready([&](Parameter&) { ++ready; });
  const Tensor input = Tensor::zeros({3}, DType::f64, parameter->value().device());
  const Tensor out =
      recompute([&](std::span<const Tensor>) { return parameter->as_tensor(); }, {&input, 1});
  const Tensor last = parameter->as_tensor();
  const Tensor seed = Tensor::full({3}, DType::f64, 1, parameter->value().device());
  backward({&out, 1}, {&seed, 1});
  EXPECT_EQ(ready, 0);  // the second use has not come back yet
  backward({&last, 1}, {&seed, 1});
  EXPECT_EQ(ready, 1);
  EXPECT_EQ(parameter->gradient().values(), std::vector<double>(3, 2.0));
}

TEST(Parameter, GradientOfAnotherMemory) {
  const auto parameter = whole({2, 3}, DType::f32);
  parameter->initialize(1);
  const auto& device = parameter->value().device();
  const Tensor bucket = Tensor::full({10}, DType::f32, 7, device, MemoryKind::gradient);
  parameter->place_gradient(bucket.strided({2, 3}, {3, 1}, 2));
  parameter->finish_gradient();
  EXPECT_EQ(bucket.values(), (std::vector<double>{7, 7, 0, 0, 0, 0, 0, 0, 7, 7}));
  EXPECT_THROW(parameter->place_gradient(bucket.strided({6}, {1}, 0)), Error);
}

TEST(Parameter, MemoryIsCountedByKind) {
  const auto device = Device::cpu(1);
  const auto parameter =
      make({64, 64}, {{0, 0}, {64, 64}}, DType::f32, {Init::Kind::zeros, 0}, device);
  EXPECT_EQ(device->memory().of(MemoryKind::parameter).current, 64 * 64 * 4);
  EXPECT_EQ(device->memory().of(MemoryKind::gradient).current, 0);
  parameter->finish_gradient();
  EXPECT_EQ(device->memory().of(MemoryKind::gradient).current, 64 * 64 * 4);
}

TEST(Parameter, ComputeValueFollowsTheMainValue) {
  const auto parameter = whole({2, 3}, DType::bf16);
  parameter->initialize(1);
  const Tensor first = parameter->compute_value();
  EXPECT_EQ(first.dtype(), DType::bf16);
  EXPECT_EQ(first.shape(), Shape({2, 3}));
  for (size_t i = 0; i < 6; ++i) {
    const auto expected =
        static_cast<float>(BF16(static_cast<float>(parameter->value().values()[i])));
    EXPECT_EQ(first.values()[i], expected);
  }
  parameter->value().data<float>()[0] = 3;
  parameter->value_changed();
  EXPECT_EQ(parameter->compute_value().values()[0], 3);
}

}  // namespace
}  // namespace troupe
