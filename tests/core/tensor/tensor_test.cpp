#include "core/tensor/tensor.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>

#include "core/base/error.h"

namespace troupe {
namespace {

const std::shared_ptr<Device>& device() {
  static const std::shared_ptr<Device> cpu = Device::cpu();
  return cpu;
}

Tensor counting(const Shape& shape, DType dtype = DType::f32) {
  std::vector<double> values(static_cast<size_t>(shape.elements()));
  for (size_t i = 0; i < values.size(); ++i) values[i] = static_cast<double>(i);
  return Tensor::from(values, shape, dtype, device());
}

TEST(Shape, IndexesFromBothEnds) {
  const Shape shape = {2, 3, 5};
  EXPECT_EQ(shape[0], 2);
  EXPECT_EQ(shape[-1], 5);
  EXPECT_EQ(shape.elements(), 30);
  EXPECT_EQ(Shape().elements(), 1);
  EXPECT_EQ(Shape({3, 0}).elements(), 0);
  EXPECT_EQ(shape.text(), "[2, 3, 5]");
  EXPECT_THROW(shape[3], Error);
  EXPECT_THROW(shape[-4], Error);
  EXPECT_THROW(Shape({-1}), Error);
  EXPECT_THROW(Shape({1, 1, 1, 1, 1, 1, 1}), Error);
  EXPECT_EQ(contiguous_strides({2, 3, 5}), Shape({15, 5, 1}));
}

TEST(Shape, Broadcasts) {
  EXPECT_EQ(broadcast({3, 1}, {5}), Shape({3, 5}));
  EXPECT_EQ(broadcast({}, {2, 3}), Shape({2, 3}));
  EXPECT_EQ(broadcast({0, 3}, {1, 3}), Shape({0, 3}));
  EXPECT_THROW(broadcast({2, 3}, {2, 4}), Error);
  EXPECT_THROW(broadcast({0}, {2}), Error);
}

TEST(BF16, RoundsToNearestEvenAndKeepsNaN) {
  EXPECT_EQ(static_cast<float>(BF16(1.00390625F)), 1.0F);
  EXPECT_EQ(static_cast<float>(BF16(1.01171875F)), 1.015625F);
  EXPECT_EQ(static_cast<float>(BF16(1.00390637F)), 1.0078125F);
  EXPECT_EQ(static_cast<float>(BF16(3.4e38F)), std::numeric_limits<float>::infinity());
  EXPECT_EQ(static_cast<float>(BF16(-std::numeric_limits<float>::infinity())),
            -std::numeric_limits<float>::infinity());
  EXPECT_TRUE(std::isnan(static_cast<float>(BF16(std::nanf("")))));
  // The smallest NaN payload must not round to infinity.
  EXPECT_TRUE(std::isnan(static_cast<float>(BF16(std::bit_cast<float>(0x7f800001U)))));
}

TEST(Tensor, KeepsValuesOfEveryType) {
  for (DType dtype : {DType::f64, DType::f32, DType::bf16, DType::i64, DType::i32, DType::u8}) {
    const Tensor x = counting({2, 3}, dtype);
    EXPECT_EQ(x.values(), (std::vector<double>{0, 1, 2, 3, 4, 5})) << name(dtype);
    EXPECT_EQ(x.bytes(), 6 * size_of(dtype));
    EXPECT_EQ(Tensor::full({2}, dtype, 7, device()).values(), (std::vector<double>{7, 7}));
    EXPECT_EQ(Tensor::zeros({2}, dtype, device()).values(), (std::vector<double>{0, 0}));
  }
  EXPECT_EQ(counting({3}, DType::i32).integers(), (std::vector<int64_t>{0, 1, 2}));
  EXPECT_THROW(counting({3}).integers(), Error);
  EXPECT_THROW(counting({3}).item(), Error);
  EXPECT_EQ(counting({1}).item(), 0);
  EXPECT_THROW(counting({3}).data<double>(), Error);
  EXPECT_THROW(Tensor().view(), Error);
  const std::vector<double> two = {1, 2};
  EXPECT_THROW(Tensor::from(two, {3}, DType::f32, device()), Error);
}

TEST(Tensor, StridedViewsShareStorageAndStayInside) {
  const Tensor x = counting({2, 3});
  const Tensor column = x.strided({2}, {3}, 1);
  EXPECT_EQ(column.values(), (std::vector<double>{1, 4}));
  EXPECT_FALSE(column.contiguous());
  x.data<float>()[4] = 40;
  EXPECT_EQ(column.values()[1], 40);
  EXPECT_EQ(column.strided({1}, {1}, 3).item(), 40);  // offsets add up
  EXPECT_EQ(x.strided({4, 3}, {0, 1}, 3).values().size(), 12u);
  EXPECT_THROW(x.strided({2}, {3}, 3), Error);
  EXPECT_THROW(x.strided({7}, {1}, 0), Error);
  EXPECT_THROW(x.strided({1}, {1}, -1), Error);
  EXPECT_NO_THROW(x.strided({0, 9}, {9, 1}, 0));
}

TEST(View, KnowsWhenItIsContiguous) {
  const Tensor x = counting({2, 3, 4});
  EXPECT_TRUE(x.contiguous());
  EXPECT_TRUE(x.strided({3, 4}, {4, 1}, 12).contiguous());
  EXPECT_FALSE(x.strided({2, 4}, {12, 1}, 0).contiguous());
  EXPECT_TRUE(x.strided({1, 4}, {77, 1}, 0).contiguous());  // the stride of one row does not matter
  EXPECT_TRUE(x.strided({0, 4}, {1, 1}, 0).contiguous());
  EXPECT_FALSE(x.strided({5}, {0}, 0).contiguous());
}

TEST(Storage, IsFreedWithItsLastTensor) {
  const auto own = Device::cpu();
  {
    Tensor x = Tensor::zeros({100}, DType::f32, own, MemoryKind::parameter);
    const Tensor view = x.strided({1}, {1}, 99);
    x = Tensor();
    EXPECT_EQ(own->memory().of(MemoryKind::parameter).current, 448);
    EXPECT_EQ(view.item(), 0);
  }
  EXPECT_EQ(own->memory().of(MemoryKind::parameter).current, 0);
}

// All tensors of a storage see that its memory goes and comes.
TEST(Storage, MemoryComesAndGoes) {
  const auto device = Device::cpu();
  const Tensor whole = Tensor::zeros({4, 3}, DType::f32, device);
  const Tensor part = whole.strided({3}, {1}, 3);
  const int64_t held = device->memory().total.current;
  whole.storage()->free();
  whole.storage()->free();
  EXPECT_FALSE(part.storage()->held());
  EXPECT_LT(device->memory().total.current, held);
  EXPECT_THROW(part.view(), Error);
  EXPECT_EQ(part.shape(), Shape{3});
  EXPECT_TRUE(part.contiguous());
  whole.storage()->allocate();
  whole.storage()->allocate();
  EXPECT_EQ(device->memory().total.current, held);
  whole.data<float>()[4] = 2.0F;
  EXPECT_EQ(part.values()[1], 2.0);
}

}  // namespace
}  // namespace troupe
