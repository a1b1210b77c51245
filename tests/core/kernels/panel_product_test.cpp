// Own products, with every vector width of this processor. The largest product of a kind is
// compared with its definition in better precision; every smaller one must have the same bits where
// they overlap, which is the promise that rows, columns, gaps and packing beside an element change
// nothing.
#include "core/kernels/cpu/panel_product.h"

#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <limits>
#include <utility>

#include "core/base/random.h"
#include "core/kernels/cpu/pack.h"
#include "core/kernels/cpu/panel_kernel.h"
#include "tests/core/kernels/vector_widths.h"

namespace troupe::kernels::cpu {
namespace {

constexpr int64_t kRows = 20;
constexpr int64_t kColumns = 128;  // whole panels of every width
constexpr int64_t kGap = 3;

struct Types {
  DType in;
  DType out;
};
constexpr Types kTypes[] = {{DType::f64, DType::f64},
                            {DType::f32, DType::f32},
                            {DType::bf16, DType::bf16},
                            {DType::bf16, DType::f32}};

double get(const std::vector<std::byte>& bytes, DType type, int64_t i) {
  const std::byte* at = bytes.data() + i * static_cast<int64_t>(size_of(type));
  if (type == DType::f64) return *reinterpret_cast<const double*>(at);
  if (type == DType::f32) return *reinterpret_cast<const float*>(at);
  return static_cast<double>(static_cast<float>(*reinterpret_cast<const BF16*>(at)));
}

void put(std::vector<std::byte>& bytes, DType type, int64_t i, double value) {
  std::byte* at = bytes.data() + i * static_cast<int64_t>(size_of(type));
  if (type == DType::f64) {
    *reinterpret_cast<double*>(at) = value;
  } else if (type == DType::f32) {
    *reinterpret_cast<float*>(at) = static_cast<float>(value);
  } else {
    *reinterpret_cast<BF16*>(at) = BF16(static_cast<float>(value));
  }
}

std::vector<std::byte> numbers(int64_t count, DType type, uint64_t key) {
  std::vector<std::byte> out(static_cast<size_t>(count) * size_of(type));
  const Random random(key, "test");
  for (int64_t i = 0; i < count; ++i) put(out, type, i, random.normal(static_cast<uint64_t>(i)));
  return out;
}

// Operands of one depth, stored in both ways with gaps between the rows.
class Case {
 public:
  Case(Types types, int64_t k)
      : types_(types),
        k_(k),
        a_(numbers(kRows * k, types.in, 1)),
        b_(numbers(kColumns * k, types.in, 2)),
        c_(numbers(kRows * kColumns, types.out, 3)) {}

  // A product of some rows and columns, from these on; [m, n] of its result.
  std::vector<std::byte> run(int64_t row, int64_t m, int64_t column, int64_t n, bool ta, bool tb,
                             bool accumulate) const {
    ProductShape s = shape(m, n, accumulate);
    s.transpose_a = ta;
    s.transpose_b = tb;
    s.lda = (ta ? m : k_) + kGap;
    s.ldb = (tb ? k_ : n) + kGap;
    std::vector<std::byte> a((static_cast<size_t>((ta ? k_ : m) * s.lda)) * size_of(types_.in));
    std::vector<std::byte> b((static_cast<size_t>((tb ? n : k_) * s.ldb)) * size_of(types_.in));
    for (int64_t k = 0; k < k_; ++k) {
      for (int64_t i = 0; i < m; ++i) {
        put(a, types_.in, ta ? k * s.lda + i : i * s.lda + k, a_at(row + i, k));
      }
      for (int64_t j = 0; j < n; ++j) {
        put(b, types_.in, tb ? j * s.ldb + k : k * s.ldb + j, b_at(k, column + j));
      }
    }
    return call(s, row, column, a.data(), b.data());
  }

  // The same with B packed.
  std::vector<std::byte> run_packed(int64_t row, int64_t m, int64_t column, int64_t n,
                                    int64_t panel, bool accumulate) const {
    ProductShape s = shape(m, n, accumulate);
    s.lda = k_;
    s.block = static_cast<int>(panel);
    std::vector<std::byte> packed(b_.size());
    pack_block({b_.data(), types_.in, kColumns, k_, k_, kColumns}, 0, k_, panel, packed.data());
    const auto size = static_cast<int64_t>(size_of(types_.in));
    return call(s, row, column, a_.data() + row * k_ * size, packed.data() + column * k_ * size);
  }

  // An element by its definition, in better precision, and the same of absolute values.
  std::pair<double, double> expected(int64_t i, int64_t j, bool accumulate) const {
    long double sum = accumulate ? get(c_, types_.out, i * kColumns + j) : 0;
    long double size = std::abs(sum);
    for (int64_t k = 0; k < k_; ++k) {
      sum += static_cast<long double>(a_at(i, k)) * b_at(k, j);
      size += std::abs(static_cast<long double>(a_at(i, k)) * b_at(k, j));
    }
    return {static_cast<double>(sum), static_cast<double>(size)};
  }

 private:
  ProductShape shape(int64_t m, int64_t n, bool accumulate) const {
    return {.m = m,
            .n = n,
            .k = k_,
            .ldc = n + kGap,
            .accumulate = accumulate,
            .in = types_.in,
            .out = types_.out};
  }
  double a_at(int64_t i, int64_t k) const { return get(a_, types_.in, i * k_ + k); }
  double b_at(int64_t k, int64_t j) const { return get(b_, types_.in, k * kColumns + j); }

  std::vector<std::byte> call(const ProductShape& s, int64_t row, int64_t column, const void* a,
                              const void* b) const {
    const auto size = static_cast<int64_t>(size_of(types_.out));
    // Without accumulate C must not be read: NaN would stay.
    std::vector<std::byte> c(static_cast<size_t>(s.m * s.ldc * size));
    for (int64_t i = 0; i < s.m; ++i) {
      for (int64_t j = 0; j < s.ldc; ++j) {
        const double before = j >= s.n ? -7.5
                              : s.accumulate
                                  ? get(c_, types_.out, (row + i) * kColumns + column + j)
                                  : std::numeric_limits<double>::quiet_NaN();
        put(c, types_.out, i * s.ldc + j, before);
      }
    }
    void* workspace =
        std::aligned_alloc(64, static_cast<size_t>((panel_workspace_bytes(s) + 63) / 64 * 64));
    panel_product(s, a, b, c.data(), static_cast<std::byte*>(workspace));
    std::free(workspace);
    std::vector<std::byte> out(static_cast<size_t>(s.m * s.n * size));
    for (int64_t i = 0; i < s.m; ++i) {
      std::memcpy(out.data() + i * s.n * size, c.data() + i * s.ldc * size,
                  static_cast<size_t>(s.n * size));
      for (int64_t j = s.n; j < s.ldc; ++j) {
        EXPECT_EQ(get(c, types_.out, i * s.ldc + j), -7.5) << "a gap was written";
      }
    }
    return out;
  }

  Types types_;
  int64_t k_;
  std::vector<std::byte> a_;  // [kRows, k]
  std::vector<std::byte> b_;  // [k, kColumns]
  std::vector<std::byte> c_;  // [kRows, kColumns], what is added to
};

// The part [row, row + m) x [column, column + n) of a result [kRows, kColumns].
std::vector<std::byte> part(const std::vector<std::byte>& whole, DType type, int64_t row, int64_t m,
                            int64_t column, int64_t n) {
  const auto size = static_cast<int64_t>(size_of(type));
  std::vector<std::byte> out(static_cast<size_t>(m * n * size));
  for (int64_t i = 0; i < m; ++i) {
    std::memcpy(out.data() + i * n * size, whole.data() + ((row + i) * kColumns + column) * size,
                static_cast<size_t>(n * size));
  }
  return out;
}

constexpr int64_t kDepths[] = {1, 2, 7, kDepth - 1, kDepth, kDepth + 1, 2 * kDepth + 2};

TEST(PanelProduct, EqualsItsDefinitionAtEveryEdge) {
  testing::with_every_width([] {
    for (const Types types : kTypes) {
      // Each of k + 1 additions rounds once; a result in bf16 is rounded once more.
      const double rounding = types.in == DType::f64 ? 0x1p-53 : 0x1p-24;
      const double last = types.out == DType::bf16 ? 0x1p-8 : 0;
      for (const int64_t k : kDepths) {
        const Case c(types, k);
        for (const bool accumulate : {false, true}) {
          const auto whole = c.run(0, kRows, 0, kColumns, false, false, accumulate);
          for (int64_t i = 0; i < kRows; ++i) {
            for (int64_t j = 0; j < kColumns; ++j) {
              const auto [right, size] = c.expected(i, j, accumulate);
              const double bound =
                  rounding * static_cast<double>(k + 1) * size + last * std::abs(right);
              ASSERT_NEAR(get(whole, types.out, i * kColumns + j), right, bound)
                  << name(types.in) << " k " << k << " at " << i << ", " << j;
            }
          }
          for (const int64_t m : {1, 5, 7, 13}) {
            for (const int64_t n : {1, 7, 9, 17, 33}) {
              const int64_t row = kRows - m;
              const int64_t column = (m * n) % (kColumns - n);
              const int mode = static_cast<int>((m + n) % 4);
              ASSERT_TRUE(c.run(row, m, column, n, mode & 1, mode & 2, accumulate) ==
                          part(whole, types.out, row, m, column, n))
                  << name(types.in) << " " << m << "x" << n << "x" << k << " mode " << mode;
            }
          }
        }
      }
    }
  });
}

TEST(PanelProduct, PackedAndTransposedOperandsGiveTheSameBits) {
  testing::with_every_width([] {
    for (const Types types : kTypes) {
      for (const int64_t k : kDepths) {
        const Case c(types, k);
        for (const bool accumulate : {false, true}) {
          const auto whole = c.run(0, kRows, 0, kColumns, false, false, accumulate);
          for (int mode = 1; mode < 4; ++mode) {
            ASSERT_TRUE(c.run(0, kRows, 0, kColumns, mode & 1, mode & 2, accumulate) == whole)
                << name(types.in) << " k " << k << " mode " << mode;
          }
          if (types.in == DType::bf16 && k % 2 != 0) continue;
          const int64_t panel = panel_columns(types.in);
          for (const int64_t m : {1, 5, 13, 20}) {
            ASSERT_TRUE(c.run_packed(kRows - m, m, panel, 2 * panel, panel, accumulate) ==
                        part(whole, types.out, kRows - m, m, panel, 2 * panel))
                << name(types.in) << " k " << k << " rows " << m;
          }
        }
      }
    }
  });
}

// oneDNN's panels are read where it has no code of its own for a product.
TEST(PanelProduct, ReadsPanelsOfTheLibrary) {
  testing::with_every_width([] {
    for (const Types types : kTypes) {
      if (types.in == DType::f64) continue;
      const Case c(types, 34);
      const auto whole = c.run(0, kRows, 0, kColumns, false, false, false);
      ASSERT_TRUE(c.run_packed(0, kRows, 0, kPanelColumns, kPanelColumns, false) ==
                  part(whole, types.out, 0, kRows, 0, kPanelColumns));
    }
  });
}

// More rows than a block has, and a result of several blocks of depth that is rounded once.
TEST(PanelProduct, ManyRows) {
  testing::with_every_width([] {
    for (const Types types : kTypes) {
      ProductShape s{.m = 301, .n = 34, .k = 600, .lda = 600, .ldb = 600, .ldc = 34};
      s.transpose_b = true;
      s.in = types.in;
      s.out = types.out;
      const auto a = numbers(s.m * s.k, s.in, 1);
      const auto b = numbers(s.n * s.k, s.in, 2);
      std::vector<std::byte> c(static_cast<size_t>(s.m * s.n) * size_of(s.out));
      std::vector<std::byte> row(static_cast<size_t>(s.n) * size_of(s.out));
      std::vector<std::byte> workspace(static_cast<size_t>(panel_workspace_bytes(s)));
      panel_product(s, a.data(), b.data(), c.data(), workspace.data());
      s.m = 1;
      for (const int64_t i : {0, 131, 132, 263, 264, 300}) {
        panel_product(s, a.data() + static_cast<size_t>(i * s.k) * size_of(s.in), b.data(),
                      row.data(), workspace.data());
        ASSERT_EQ(
            std::memcmp(row.data(), c.data() + static_cast<size_t>(i) * row.size(), row.size()), 0)
            << name(types.in) << " row " << i;
      }
    }
  });
}

}  // namespace
}  // namespace troupe::kernels::cpu
