#include "core/device/device.h"

#include <gtest/gtest.h>

#include <thread>
#include <vector>

#include "core/base/error.h"
#include "core/device/storage.h"

namespace troupe {
namespace {

int64_t current(const Device& device, MemoryKind kind) { return device.memory().of(kind).current; }

TEST(Allocator, CountsByKindAndPeak) {
  const auto device = Device::cpu();
  {
    const Storage a(device, 1024, MemoryKind::parameter);
    EXPECT_EQ(current(*device, MemoryKind::parameter), 1024);
    {
      const Storage b(device, 2048, MemoryKind::activation);
      EXPECT_EQ(device->memory().total.current, 3072);
    }
    EXPECT_EQ(current(*device, MemoryKind::activation), 0);
    EXPECT_EQ(device->memory().of(MemoryKind::activation).peak, 2048);
    EXPECT_EQ(device->memory().total.peak, 3072);
    device->reset_peak();
    EXPECT_EQ(device->memory().total.peak, 1024);
    EXPECT_EQ(device->memory().of(MemoryKind::activation).peak, 0);
  }
  EXPECT_EQ(device->memory().total.current, 0);
  for (int kind = 0; kind < kMemoryKinds; ++kind) {
    EXPECT_EQ(device->memory().by_kind[static_cast<size_t>(kind)].current, 0);
  }
}

TEST(Allocator, KeepsBlocksAndGivesThemBack) {
  const auto device = Device::cpu();
  void* first = device->allocate(10000, MemoryKind::activation);
  device->release(first, 10000, MemoryKind::activation);
  const int64_t asked = device->memory().system_allocations;
  const int64_t held = device->memory().system_bytes;
  EXPECT_GE(held, 10000);
  // A size of the same class finds the block again, under any kind.
  void* second = device->allocate(9900, MemoryKind::communication);
  EXPECT_EQ(second, first);
  EXPECT_EQ(device->memory().system_allocations, asked);
  void* third = device->allocate(9900, MemoryKind::communication);
  EXPECT_NE(third, second);
  EXPECT_EQ(device->memory().total.current, 2 * 10240);
  device->release(second, 9900, MemoryKind::communication);
  device->release(third, 9900, MemoryKind::communication);
  device->trim();
  EXPECT_EQ(device->memory().system_bytes, 0);
}

TEST(Allocator, ClassesWasteLessThanAnEighthAndKeepAlignment) {
  const auto device = Device::cpu();
  for (size_t bytes : {size_t{0}, size_t{1}, size_t{63}, size_t{64}, size_t{65}, size_t{511},
                       size_t{513}, size_t{1000}, size_t{4097}, size_t{100001}, size_t{1} << 20,
                       (size_t{1} << 20) + 1, size_t{12345678}}) {
    const Storage storage(device, bytes, MemoryKind::activation);
    const auto taken = static_cast<size_t>(device->memory().total.current);
    EXPECT_GE(taken, bytes);
    EXPECT_LE(static_cast<double>(taken), static_cast<double>(bytes) * 1.125 + 64) << bytes;
    EXPECT_EQ(reinterpret_cast<uintptr_t>(storage.data()) % 64, 0u);
    auto* data = static_cast<unsigned char*>(storage.data());
    if (bytes > 0) data[0] = data[bytes - 1] = 1;
  }
}

TEST(Allocator, BlocksMayComeBackFromOtherThreads) {
  const auto device = Device::cpu();
  std::vector<std::thread> threads;
  for (int t = 0; t < 4; ++t) {
    threads.emplace_back([&device, t] {
      for (int i = 0; i < 200; ++i) {
        auto storage = std::make_shared<Storage>(device, static_cast<size_t>(100 * t + i),
                                                 MemoryKind::activation);
        std::thread([kept = std::move(storage)] {}).join();
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(device->memory().total.current, 0);
}

TEST(Allocator, SaysWhenThereIsNoMore) {
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
  GTEST_SKIP() << "a sanitizer's allocator ends the process on a request of this size";
#endif
  const auto device = Device::cpu();
  try {
    device->allocate(size_t{1} << 60, MemoryKind::activation);
    FAIL();
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ExitCode::resource);
  }
  EXPECT_EQ(device->memory().total.current, 0);
}

TEST(Device, NeedsAThread) { EXPECT_THROW(Device::cpu(0), Error); }

}  // namespace
}  // namespace troupe
