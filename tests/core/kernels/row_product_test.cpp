#include "core/kernels/cpu/row_product.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <vector>

#include "core/base/random.h"
#include "tests/core/kernels/vector_widths.h"

namespace troupe::kernels {
namespace {

void compare_with_chains() {
  const Random random(1, "row product");
  for (const int64_t n : {1, 8, 21, 64}) {
    for (const int64_t k : {1, 3, 16, 131, 512}) {
      const int64_t ld = k + 3;
      std::vector<float> x, w;
      for (int64_t i = 0; i < k; ++i) x.push_back(static_cast<float>(random.normal(i)));
      for (int64_t i = 0; i < n * ld; ++i) w.push_back(static_cast<float>(random.normal(i, 1)));
      for (const int64_t depth : {int64_t{7}, int64_t{64}, int64_t{1000}}) {
        std::vector<float> out(static_cast<size_t>(n), -1.0F);
        row_product(x.data(), w.data(), ld, k, n, depth, out.data());
        for (int64_t j = 0; j < n; ++j) {
          float expected = 0;
          for (int64_t first = 0; first < k; first += depth) {
            float sum = 0;
            for (int64_t i = first; i < std::min(first + depth, k); ++i) {
              sum = std::fma(x[static_cast<size_t>(i)], w[static_cast<size_t>(j * ld + i)], sum);
            }
            expected = first == 0 ? sum : expected + sum;
          }
          ASSERT_EQ(out[static_cast<size_t>(j)], expected) << n << " " << k << " " << depth;
        }
      }
    }
  }
}

TEST(RowProduct, IsChainsOfMultiplyAddsInOrder) {
  troupe::testing::with_every_width(compare_with_chains);
}

// Twice the same depth would look like two that give the same bits, and none would be taken.
TEST(RowProduct, DepthsToTryAreEachOnce) {
  EXPECT_EQ(row_depths(512), (std::vector<int64_t>{512, 256}));
  EXPECT_EQ(row_depths(2048), (std::vector<int64_t>{2048, 1024, 512, 256}));
  EXPECT_EQ(row_depths(100), (std::vector<int64_t>{100}));
}

}  // namespace
}  // namespace troupe::kernels
