#include "core/kernels/cpu/attention_block.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <vector>

#include "core/base/random.h"
#include "core/tensor/dtype.h"
#include "tests/core/kernels/vector_widths.h"

namespace troupe::kernels::cpu {
namespace {

using troupe::testing::with_every_width;

constexpr int64_t kTile = kBlockRows * kBlockRows;

std::vector<float> random_floats(int64_t n, uint64_t key) {
  const Random random(key, "test");
  std::vector<float> out;
  for (int64_t i = 0; i < n; ++i) {
    out.push_back(static_cast<float>(random.normal(static_cast<uint64_t>(i))));
  }
  return out;
}

uint32_t word_of(float low, float high) {
  return uint32_t{BF16(low).bits} | uint32_t{BF16(high).bits} << 16;
}
float low_of(uint32_t word) { return std::bit_cast<float>(word << 16); }
float high_of(uint32_t word) { return std::bit_cast<float>(word & 0xffff0000U); }

// A [m, words] stored by rows or by columns, B [words, n], on every shape that a head can give.
TEST(BlockProduct, OfNumbers) {
  with_every_width([] {
    for (int64_t n : {16, 32, 48, 64, 80, 128}) {
      for (int64_t words : {1, 7, 64}) {
        const int64_t m = 64;
        const std::vector<float> a = random_floats(m * words, 1);
        const std::vector<float> b = random_floats(words * n, 2);
        const std::vector<float> before = random_floats(m * n, 3);
        for (bool by_columns : {false, true}) {
          for (bool accumulate : {false, true}) {
            std::vector<float> c = before;
            const int64_t a_row = by_columns ? 1 : words;
            const int64_t a_word = by_columns ? m : 1;
            run(BlockProduct<float, float>{m, n, words, a.data(), a_row, a_word, b.data(), n,
                                           c.data(), n, accumulate});
            for (int64_t i = 0; i < m; i += 13) {
              for (int64_t j = 0; j < n; ++j) {
                double expected = accumulate ? before[static_cast<size_t>(i * n + j)] : 0.0;
                for (int64_t w = 0; w < words; ++w) {
                  expected += static_cast<double>(a[static_cast<size_t>(i * a_row + w * a_word)]) *
                              b[static_cast<size_t>(w * n + j)];
                }
                ASSERT_NEAR(c[static_cast<size_t>(i * n + j)], expected, 1e-4);
              }
            }
          }
        }
      }
    }
  });
}

void check_pairs(void (*product)(const BlockProduct<uint32_t, float>&)) {
  for (int64_t n : {16, 48, 64, 80, 128}) {
    for (int64_t words : {1, 5, 32}) {
      const int64_t m = 8;
      const std::vector<float> numbers = random_floats(2 * words * (m + n), 1);
      std::vector<uint32_t> a;
      std::vector<uint32_t> b;
      for (size_t i = 0; i + 1 < numbers.size(); i += 2) {
        auto& to = static_cast<int64_t>(a.size()) < m * words ? a : b;
        to.push_back(word_of(numbers[i], numbers[i + 1]));
      }
      std::vector<float> c(static_cast<size_t>(m * n), 1.0F);
      product({m, n, words, a.data(), words, 1, b.data(), n, c.data(), n, true});
      for (int64_t i = 0; i < m; ++i) {
        for (int64_t j = 0; j < n; ++j) {
          double expected = 1;
          for (int64_t w = 0; w < words; ++w) {
            const uint32_t x = a[static_cast<size_t>(i * words + w)];
            const uint32_t y = b[static_cast<size_t>(w * n + j)];
            expected += static_cast<double>(low_of(x)) * low_of(y) +
                        static_cast<double>(high_of(x)) * high_of(y);
          }
          ASSERT_NEAR(c[static_cast<size_t>(i * n + j)], expected, 1e-4);
        }
      }
    }
  }
}

TEST(BlockProduct, OfPairsByF32Arithmetic) {
  with_every_width([] { check_pairs(run_bf16_wide); });
}

TEST(BlockProduct, OfPairsByInstruction) {
  if (!has_bf16_dot()) GTEST_SKIP() << "this processor has no AVX512_BF16";
  check_pairs(run_bf16_dot);
}

TEST(ForwardSoftmax, RunsOverBlocks) {
  with_every_width([] {
    const float inf = std::numeric_limits<float>::infinity();
    std::vector<float> first = random_floats(kTile, 1);
    std::vector<float> second = random_floats(kTile, 2);
    for (int64_t i = 0; i < kBlockRows; ++i) {
      first[static_cast<size_t>(i)] = -inf;                    // row 0 sees nothing at first
      second[static_cast<size_t>(3 * kBlockRows + i)] = -inf;  // row 3 nothing more
      first[static_cast<size_t>(5 * kBlockRows + i)] = -inf;   // row 5 nothing at all
      second[static_cast<size_t>(5 * kBlockRows + i)] = -inf;
    }
    std::vector<float> m(kBlockRows, -inf);
    std::vector<float> l(kBlockRows, 0);
    std::vector<float> o(static_cast<size_t>(kBlockRows * 16), 1);
    std::vector<float> p(kTile);
    std::vector<uint32_t> words(kTile / 2);
    run(ForwardSoftmax<float, float>{first.data(), 0.5F, m.data(), l.data(), o.data(), 16,
                                     p.data()});
    std::fill(o.begin(), o.end(), 1.0F);
    const std::vector<float> m_before = m;
    run(ForwardSoftmax<float, float>{second.data(), 0.5F, m.data(), l.data(), o.data(), 16,
                                     p.data()});
    for (size_t r = 0; r < kBlockRows; ++r) {
      double top = -inf;
      double total = 0;
      for (const auto* s : {&first, &second}) {
        for (size_t i = 0; i < kBlockRows; ++i) {
          top = std::max(top, 0.5 * (*s)[r * kBlockRows + i]);
        }
      }
      for (const auto* s : {&first, &second}) {
        for (size_t i = 0; i < kBlockRows && r != 5; ++i) {
          total += std::exp(0.5 * (*s)[r * kBlockRows + i] - top);
        }
      }
      EXPECT_EQ(m[r], static_cast<float>(top));
      EXPECT_NEAR(l[r], total, 1e-4);
      if (r == 0 || r == 5) continue;
      EXPECT_NEAR(o[r * 16], std::exp(m_before[r] - top), 1e-6);
      for (size_t i = 0; i < kBlockRows; ++i) {
        EXPECT_NEAR(p[r * kBlockRows + i], std::exp(0.5 * second[r * kBlockRows + i] - top), 1e-6);
      }
    }
    EXPECT_EQ(l[5], 0);
    // Words of pairs hold the same numbers, rounded.
    std::vector<float> m2(kBlockRows, -inf);
    std::vector<float> l2(kBlockRows, 0);
    std::vector<float> m3 = m2;
    std::vector<float> l3 = l2;
    run(ForwardSoftmax<uint32_t, float>{first.data(), 0.5F, m2.data(), l2.data(), o.data(), 16,
                                        words.data()});
    run(ForwardSoftmax<float, float>{first.data(), 0.5F, m3.data(), l3.data(), o.data(), 16,
                                     p.data()});
    EXPECT_EQ(l2, l3);
    for (size_t i = 0; i < words.size(); ++i) {
      EXPECT_EQ(words[i], word_of(p[2 * i], p[2 * i + 1]));
    }
  });
}

TEST(BackwardSoftmax, GivesAllForms) {
  with_every_width([] {
    const std::vector<float> s = random_floats(kTile, 1);
    const std::vector<float> dp = random_floats(kTile, 2);
    std::vector<float> lse(kBlockRows, 4.0F);
    lse[7] = std::numeric_limits<float>::infinity();  // a row that saw nothing
    const std::vector<float> d = random_floats(kBlockRows, 3);
    std::vector<float> p(kTile);
    std::vector<float> ds(kTile);
    run(BackwardSoftmax<float, float>{s.data(), dp.data(), 0.5F, lse.data(), d.data(), p.data(),
                                      ds.data(), ds.data()});
    for (size_t r = 0; r < kBlockRows; ++r) {
      for (size_t i = 0; i < kBlockRows; ++i) {
        const size_t at = r * kBlockRows + i;
        const double expected = std::exp(0.5 * s[at] - lse[r]);
        EXPECT_NEAR(p[at], expected, 1e-6);
        EXPECT_NEAR(ds[at], 0.5 * expected * (dp[at] - d[r]), 1e-6);
      }
    }
    std::vector<uint32_t> p_columns(kTile / 2);
    std::vector<uint32_t> ds_rows(kTile / 2);
    std::vector<uint32_t> ds_columns(kTile / 2);
    run(BackwardSoftmax<uint32_t, float>{s.data(), dp.data(), 0.5F, lse.data(), d.data(),
                                         p_columns.data(), ds_rows.data(), ds_columns.data()});
    for (size_t r = 0; r < kBlockRows; r += 2) {
      for (size_t i = 0; i < kBlockRows; ++i) {
        const size_t even = r * kBlockRows + i;
        const size_t odd = even + kBlockRows;
        EXPECT_EQ(p_columns[r / 2 * kBlockRows + i], word_of(p[even], p[odd]));
        EXPECT_EQ(ds_columns[r / 2 * kBlockRows + i], word_of(ds[even], ds[odd]));
      }
    }
    for (size_t i = 0; i < ds_rows.size(); ++i) {
      EXPECT_EQ(ds_rows[i], word_of(ds[2 * i], ds[2 * i + 1]));
    }
  });
}

}  // namespace
}  // namespace troupe::kernels::cpu
