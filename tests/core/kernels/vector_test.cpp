#include "core/kernels/cpu/vector.h"

#include <gtest/gtest.h>

#include <bit>
#include <cmath>
#include <limits>
#include <vector>

#include "core/base/random.h"
#include "tests/core/kernels/vector_widths.h"

namespace troupe::kernels::cpu {
namespace {

using troupe::testing::with_every_width;

std::vector<float> random_floats(size_t n, double spread, uint64_t key) {
  const Random random(key, "test");
  std::vector<float> out(n);
  for (size_t i = 0; i < n; ++i) out[i] = static_cast<float>(spread * random.normal(i));
  return out;
}

// Distance in units of the last place of the exact value.
double ulps(double exact, float got) {
  const auto nearest = static_cast<float>(exact);
  const float next = std::nextafter(std::abs(nearest), std::numeric_limits<float>::infinity());
  return std::abs(got - exact) / (static_cast<double>(next) - std::abs(nearest));
}

TEST(Vector, ExpIsWithinTwoUnitsOfTheLastPlace) {
  with_every_width([] {
    std::vector<float> x;
    for (double v = -87.3; v < 88.37; v += 0.00173) x.push_back(static_cast<float>(v));
    std::vector<float> y(x.size());
    vec::exp(x.data(), y.data(), static_cast<int64_t>(x.size()));
    double worst = 0;
    for (size_t i = 0; i < x.size(); ++i) {
      worst = std::max(worst, ulps(std::exp(static_cast<double>(x[i])), y[i]));
    }
    EXPECT_LE(worst, 2);
    const std::vector<float> whole = x;
    const double total = vec::exp_shifted(whole.data() + 40000, 5.0F, y.data(), 333);
    double expected = 0;
    for (size_t i = 0; i < 333; ++i) expected += std::exp(static_cast<double>(x[40000 + i]) - 5.0);
    EXPECT_NEAR(total / expected, 1, 1e-6);
  });
}

TEST(Vector, ConversionsToBf16AreThoseOfTheScalarType) {
  with_every_width([] {
    std::vector<float> x = random_floats(1003, 1e3, 1);
    for (uint32_t bits : {0x7f800000U, 0xff800000U, 0x7f800001U, 0x7fffffffU, 0xffc00000U,
                          0x7f7fffffU, 0x00000001U, 0x80000000U, 0x3f808000U, 0x3f818000U}) {
      for (int i = 0; i < 5; ++i) x.push_back(std::bit_cast<float>(bits));
    }
    std::vector<BF16> half(x.size());
    vec::to_bf16(x.data(), half.data(), static_cast<int64_t>(x.size()));
    for (size_t i = 0; i < x.size(); ++i) {
      if (std::isnan(x[i])) {
        EXPECT_TRUE(std::isnan(static_cast<float>(half[i])));
      } else {
        EXPECT_EQ(half[i].bits, BF16(x[i]).bits) << x[i];
      }
    }
    std::vector<float> back(x.size());
    vec::to_f32(half.data(), back.data(), static_cast<int64_t>(x.size()));
    for (size_t i = 0; i < x.size(); ++i) {
      EXPECT_EQ(std::bit_cast<uint32_t>(back[i]), uint32_t{half[i].bits} << 16);
    }
  });
}

TEST(Vector, ScaledSumsOfBf16AreThoseOfItsWideValues) {
  with_every_width([] {
    for (int64_t n = 0; n < 100; ++n) {
      const std::vector<float> wide = random_floats(static_cast<size_t>(n), 1, 2);
      std::vector<BF16> x(wide.size());
      vec::to_bf16(wide.data(), x.data(), n);
      std::vector<float> y(wide.size());
      vec::scale(0.5F, x.data(), y.data(), n);
      for (size_t i = 0; i < y.size(); ++i) EXPECT_EQ(y[i], 0.5F * static_cast<float>(x[i]));
      vec::axpy(-4.0F, x.data(), y.data(), n);
      for (size_t i = 0; i < y.size(); ++i) EXPECT_EQ(y[i], -3.5F * static_cast<float>(x[i]));
    }
  });
}

TEST(Vector, ReductionsOfEveryLength) {
  with_every_width([] {
    for (int64_t n = 0; n < 100; ++n) {
      const std::vector<float> a = random_floats(static_cast<size_t>(n), 1, 2);
      const std::vector<float> b = random_floats(static_cast<size_t>(n), 1, 3);
      double sum = 0;
      double dot = 0;
      float top = -std::numeric_limits<float>::infinity();
      for (size_t i = 0; i < a.size(); ++i) {
        sum += a[i];
        dot += static_cast<double>(a[i]) * b[i];
        top = std::max(top, a[i]);
      }
      EXPECT_NEAR(vec::sum(a.data(), n), sum, 1e-5);
      EXPECT_NEAR(vec::dot(a.data(), b.data(), n), dot, 1e-5);
      EXPECT_EQ(vec::max(a.data(), n), top);
    }
  });
}

// Bit for bit: with rows that lie apart, and lengths with and without a rest.
TEST(Vector, ManyRowsAtOnceAreTheRowsOneByOne) {
  with_every_width([] {
    for (const int64_t n : {1, 7, 16, 64, 131}) {
      const int64_t count = 9, stride = n + 5;
      const std::vector<float> a = random_floats(static_cast<size_t>(n), 1, 1);
      const std::vector<float> rows = random_floats(static_cast<size_t>(count * stride), 1, 2);
      const std::vector<float> factors = random_floats(static_cast<size_t>(count), 1, 3);
      std::vector<float> dots(static_cast<size_t>(count));
      vec::dots(a.data(), rows.data(), stride, count, n, dots.data());
      std::vector<float> sums = a, is_sequential = a;
      vec::axpys(factors.data(), rows.data(), stride, count, sums.data(), n);
      for (int64_t j = 0; j < count; ++j) {
        const float* row = rows.data() + j * stride;
        EXPECT_EQ(dots[static_cast<size_t>(j)], vec::dot(a.data(), row, n)) << n;
        for (size_t i = 0; i < a.size(); ++i)
          is_sequential[i] = std::fma(factors[static_cast<size_t>(j)], row[i], is_sequential[i]);
      }
      EXPECT_EQ(sums, is_sequential) << n;
    }
  });
}

TEST(Vector, MaxReportsNaNAtEveryPlace) {
  with_every_width([] {
    for (size_t at = 0; at < 37; ++at) {
      std::vector<float> x = random_floats(37, 1, 4);
      x[at] = std::nanf("");
      EXPECT_TRUE(std::isnan(vec::max(x.data(), 37))) << at;
    }
  });
}

TEST(Vector, RotateTurnsPairsOfEveryLength) {
  with_every_width([] {
    for (int64_t half : {1, 2, 7, 8, 16, 33}) {
      const std::vector<float> x = random_floats(static_cast<size_t>(2 * half), 1, 5);
      const std::vector<float> c = random_floats(static_cast<size_t>(half), 1, 6);
      const std::vector<float> s = random_floats(static_cast<size_t>(half), 1, 7);
      std::vector<float> y(x.size());
      vec::rotate(x.data(), c.data(), s.data(), -1, half, y.data());
      for (int64_t i = 0; i < half; ++i) {
        const auto k = static_cast<size_t>(i);
        const auto h = static_cast<size_t>(half);
        EXPECT_NEAR(y[k], x[k] * c[k] + x[k + h] * s[k], 1e-6);
        EXPECT_NEAR(y[k + h], x[k + h] * c[k] - x[k] * s[k], 1e-6);
      }
    }
  });
}

TEST(Vector, ActivationsFollowF64) {
  with_every_width([] {
    const std::vector<float> x = random_floats(77, 5, 8);
    const std::vector<float> u = random_floats(77, 1, 9);
    const std::vector<float> g = random_floats(77, 1, 10);
    std::vector<float> y(77);
    std::vector<float> dx(77);
    std::vector<float> du(77);
    vec::swiglu(x.data(), u.data(), y.data(), 77);
    vec::swiglu_gradient(x.data(), u.data(), g.data(), dx.data(), du.data(), 77);
    for (size_t i = 0; i < 77; ++i) {
      const double v = x[i];
      const double s = 1 / (1 + std::exp(-v));
      EXPECT_NEAR(y[i], v * s * u[i], 2e-6 * std::max(1.0, std::abs(v * u[i])));
      EXPECT_NEAR(dx[i], g[i] * u[i] * s * (1 + v * (1 - s)), 2e-6 * std::max(1.0, std::abs(v)));
      EXPECT_NEAR(du[i], g[i] * v * s, 4e-6 * std::max(1.0, std::abs(v)));
    }
    vec::silu_gradient(x.data(), g.data(), dx.data(), 77);
    for (size_t i = 0; i < 77; ++i) {
      const double v = x[i];
      const double s = 1 / (1 + std::exp(-v));
      EXPECT_NEAR(dx[i], g[i] * s * (1 + v * (1 - s)), 2e-6 * std::max(1.0, std::abs(v)));
    }
  });
}

}  // namespace
}  // namespace troupe::kernels::cpu
