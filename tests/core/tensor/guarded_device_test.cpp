// The guarded device of the tests, and the ways across between the host and a device's memory.
#include "tests/support/guarded_device.h"

#include <gtest/gtest.h>

#include "core/base/error.h"
#include "core/kernels/elementwise.h"
#include "core/tensor/host_memory.h"

namespace troupe {
namespace {

using testing::GuardedDevice;

TEST(GuardedDevice, KernelsSeeItsMemoryAndCopiesCross) {
  const auto device = GuardedDevice::make();
  const std::vector<double> values = {1, 2, 3, 4, 5, 6};
  const Tensor x = Tensor::from(values, {2, 3}, DType::f32, device);
  const Tensor y = Tensor::empty({2, 3}, DType::f32, device);
  kernels::affine(device->stream(), x.view(), 2.0, 1.0, y.view());
  EXPECT_EQ(y.values(), (std::vector<double>{3, 5, 7, 9, 11, 13}));
  host_update<float>(y)[4] = 0;
  EXPECT_EQ(y.strided({3}, {1}, 3).values(), (std::vector<double>{9, 0, 13}));
  EXPECT_EQ(Tensor::zeros({3}, DType::f64, device).values(), std::vector<double>(3, 0.0));
}

TEST(GuardedDevice, CountsWhatCrosses) {
  for (const auto& device :
       std::initializer_list<std::shared_ptr<Device>>{GuardedDevice::make(), Device::cpu()}) {
    const Tensor x = Tensor::from(std::vector<int32_t>{1, 2, 3}, {3}, device);
    EXPECT_EQ(host_copy<int32_t>(x)[2], 3);
    { host_update<int32_t>(x)[0] = 9; }
    EXPECT_EQ(x.integers(), (std::vector<int64_t>{9, 2, 3}));
    const HostTraffic traffic = device->host_traffic();
    EXPECT_EQ(traffic.copies, 3);
    EXPECT_EQ(traffic.copied_bytes, 36);
    EXPECT_EQ(traffic.uploads, 2);
    EXPECT_EQ(traffic.uploaded_bytes, 24);
  }
}

TEST(GuardedDevice, TheHostIsRefusedItsAddresses) {
  const auto device = GuardedDevice::make();
  const Tensor x = Tensor::zeros({2}, DType::f32, device);
  EXPECT_THROW(x.data<float>(), Error);
  EXPECT_NO_THROW(Tensor::zeros({2}, DType::f32, Device::cpu()).data<float>());
  EXPECT_THROW(host_copy<double>(x), Error) << "another type";
  const Tensor host = Tensor::zeros({2}, DType::f32, Device::cpu());
  EXPECT_THROW(kernels::copy(device->stream(), host.view(), x.view()), Error)
      << "views of two devices";
  const Tensor elsewhere = Tensor::zeros({2}, DType::f32, GuardedDevice::make());
  EXPECT_THROW(kernels::copy(device->stream(), elsewhere.view(), x.view()), Error)
      << "views of two devices of one kind";
}

TEST(GuardedDevice, MemoryIsReusedAndCounted) {
  const auto device = GuardedDevice::make(1, 1 << 16);
  for (int i = 0; i < 100; ++i) {
    const Tensor a = Tensor::empty({40 << 8}, DType::u8, device);
    const Tensor b = Tensor::empty({90 << 8}, DType::u8, device, MemoryKind::parameter);
    EXPECT_EQ(device->memory().total.current, 130 << 8);
  }
  EXPECT_EQ(device->memory().total.current, 0);
  EXPECT_EQ(device->memory().of(MemoryKind::parameter).peak, 90 << 8);
  EXPECT_THROW(Tensor::empty({1 << 17}, DType::u8, device), Error);
}

[[gnu::noinline]] float read_by_the_host(volatile const float* address) { return *address; }

using GuardedDeviceDeathTest = ::testing::Test;

TEST(GuardedDeviceDeathTest, AStrayAccessIsCaughtAndNamed) {
  GTEST_FLAG_SET(death_test_style, "threadsafe");
  const auto device = GuardedDevice::make();
  const Tensor before = Tensor::zeros({100}, DType::f32, device);
  const Tensor head = Tensor::zeros({6}, DType::f32, device, MemoryKind::parameter);
  device->label(head, "head");
  volatile const float* address = static_cast<const float*>(head.view().data);
  EXPECT_DEATH((void)address[2],
               "the host touched device memory: 24 bytes of parameters, at byte 8, \"head\"");
  volatile const float* other = static_cast<const float*>(before.view().data);
  EXPECT_DEATH((void)other[0], "400 bytes of activations, at byte 0");
  EXPECT_DEATH((void)read_by_the_host(address), "read_by_the_host.float const volatile");
}

// Tensors of one block have names of their own, as gradients in a bucket have.
TEST(GuardedDevice, PartsOfABlockHaveTheirNames) {
  const auto device = GuardedDevice::make();
  Tensor bucket = Tensor::zeros({10}, DType::f32, device, MemoryKind::gradient);
  auto* begin = static_cast<std::byte*>(bucket.view().data);
  device->label(bucket.strided({2}, {1}, 0), "first");
  device->label(bucket.strided({4}, {1}, 4), "second");
  EXPECT_EQ(device->describe(begin + 4), "40 bytes of gradients, at byte 4, \"first\"");
  EXPECT_EQ(device->describe(begin + 8), "40 bytes of gradients, at byte 8");
  EXPECT_EQ(device->describe(begin + 31), "40 bytes of gradients, at byte 31, \"second\"");
  bucket = {};
  EXPECT_EQ(device->describe(begin), "memory that no tensor holds");
}

}  // namespace
}  // namespace troupe
