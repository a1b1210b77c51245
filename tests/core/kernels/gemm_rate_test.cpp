#include "core/kernels/gemm_rate.h"

#include <gtest/gtest.h>

namespace troupe::kernels {
namespace {

TEST(GemmRate, IsARateOfOneOfTheSizes) {
  const auto device = Device::cpu(2);
  for (DType type : {DType::f64, DType::f32, DType::bf16}) {
    const GemmRate rate = gemm_rate(device->stream(), type, {{64, 64, 64}, {100, 70, 96}}, 0.001);
    EXPECT_GT(rate.flops_per_second, 1e6);
    EXPECT_LT(rate.flops_per_second, 1e14);
    EXPECT_TRUE(rate.size.m == 64 || rate.size.m == 100);
  }
  const std::vector<GemmSize> sizes = gemm_sizes({{7, 8, 9}});
  ASSERT_EQ(sizes.size(), 4U);
  EXPECT_EQ(sizes[2].k, 4096);
  EXPECT_EQ(sizes[3].n, 8);
}

}  // namespace
}  // namespace troupe::kernels
