#include "core/kernels/cpu/gemm_rate.h"

#include <gtest/gtest.h>

#include "core/base/error.h"
#include "core/kernels/cpu/fma_peak.h"

namespace troupe::kernels::cpu {
namespace {

TEST(GemmRate, IsARateOfOneOfTheSizes) {
  const auto device = Device::cpu(2);
  for (DType type : {DType::f64, DType::f32, DType::bf16}) {
    const GemmRate rate = gemm_rate(device->stream(), type, {{64, 64, 64}, {100, 70, 96}}, 2);
    EXPECT_GT(rate.flops_per_second, 1e6);
    EXPECT_LT(rate.flops_per_second, 1e14);
    EXPECT_TRUE(rate.size.m == 64 || rate.size.m == 100);
  }
  const std::vector<GemmSize> sizes = gemm_sizes({{7, 8, 9}});
  ASSERT_EQ(sizes.size(), 3U);
  EXPECT_EQ(sizes[1].k, 2048);
  EXPECT_EQ(sizes[2].n, 8);
}

// A loop that the compiler had removed would be faster than any processor.
TEST(FmaPeak, IsTheRateOfWorkThatIsDone) {
  for (const int threads : {1, 2}) {
    const auto device = Device::cpu(threads);
    for (DType type : {DType::f64, DType::f32, DType::bf16}) {
      SCOPED_TRACE(name(type));
      const Burst burst = fma_burst(device->stream(), type);
      const double rate = best_rate(burst, 3);
      EXPECT_GT(burst.flops, 1e3);
      EXPECT_GT(rate, 1e6);
      EXPECT_LT(rate, 1e13 * threads);
    }
    EXPECT_THROW(fma_burst(device->stream(), DType::i32), Error);
  }
}

TEST(Burst, RatesAreThoseOfItsFlops) {
  int runs = 0;
  const Burst burst{1000.0, [&] { ++runs; }};
  EXPECT_GT(best_rate(burst, 4), 1000.0);  // an empty run takes far less than a second
  EXPECT_EQ(runs, 4);
}

}  // namespace
}  // namespace troupe::kernels::cpu
