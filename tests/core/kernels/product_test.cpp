#include "core/kernels/cpu/product.h"

#include <gtest/gtest.h>

#include <cmath>
#include <cstring>

#include "core/base/error.h"
#include "core/base/random.h"
#include "core/kernels/cpu/packed_weights.h"
#include "core/kernels/gemm.h"
#include "core/tensor/tensor.h"

namespace troupe::kernels::cpu {
namespace {

Tensor random(const Shape& shape, DType dtype, uint64_t key,
              const std::shared_ptr<Device>& device) {
  std::vector<double> values(static_cast<size_t>(shape.elements()));
  const Random random(key, "test");
  for (size_t i = 0; i < values.size(); ++i) values[i] = random.normal(i);
  return Tensor::from(values, shape, dtype, device);
}

struct Sizes {
  int64_t m, n, k;
};

double tolerance(DType out, DType in) {
  return out == DType::bf16 ? 2e-2 : in == DType::f64 ? 1e-12 : 1e-4;
}

// The element by its definition, in f64.
double expected(const std::vector<double>& a, bool ta, const std::vector<double>& b, bool tb,
                Sizes s, int64_t row, int64_t column) {
  double sum = 0;
  for (int64_t k = 0; k < s.k; ++k) {
    sum += a[static_cast<size_t>(ta ? k * s.m + row : row * s.k + k)] *
           b[static_cast<size_t>(tb ? column * s.k + k : k * s.n + column)];
  }
  return sum;
}

TEST(Gemm, EqualsItsDefinition) {
  const auto device = Device::cpu(2);
  const std::pair<DType, DType> types[] = {{DType::f64, DType::f64},
                                           {DType::f32, DType::f32},
                                           {DType::bf16, DType::bf16},
                                           {DType::bf16, DType::f32}};
  for (const auto& [in, out] : types) {
    for (const Sizes s : {Sizes{1, 1, 1}, Sizes{3, 5, 7}, Sizes{0, 4, 3}, Sizes{4, 0, 3},
                          Sizes{3, 2, 0}, Sizes{130, 67, 33}, Sizes{64, 200, 64}}) {
      for (int mode = 0; mode < 8; ++mode) {
        const bool ta = mode & 1;
        const bool tb = mode & 2;
        const bool accumulate = mode & 4;
        const Tensor a = random(ta ? Shape{s.k, s.m} : Shape{s.m, s.k}, in, 1, device);
        const Tensor b = random(tb ? Shape{s.n, s.k} : Shape{s.k, s.n}, in, 2, device);
        const Tensor c = Tensor::full({s.m, s.n}, out, 1.5, device);
        gemm(device->stream(), a.view(), ta, b.view(), tb, c.view(), accumulate);
        const std::vector<double> av = a.values();
        const std::vector<double> bv = b.values();
        const std::vector<double> cv = c.values();
        for (int64_t i = 0; i < s.m; ++i) {
          for (int64_t j = 0; j < s.n; ++j) {
            const double right = expected(av, ta, bv, tb, s, i, j) + (accumulate ? 1.5 : 0);
            ASSERT_NEAR(cv[static_cast<size_t>(i * s.n + j)], right,
                        tolerance(out, in) * (1 + std::abs(right)))
                << name(in) << " " << s.m << "x" << s.n << "x" << s.k << " mode " << mode;
          }
        }
      }
    }
  }
}

TEST(Gemm, StridedAndBatchedViews) {
  const auto device = Device::cpu(2);
  for (DType type : {DType::f64, DType::f32, DType::bf16}) {
    const Tensor big = random({4, 12, 10}, type, 1, device);
    const Tensor b = random({6, 5}, type, 2, device);
    // Every second column of a part: no unit stride in the last two dims.
    const Tensor a = big.strided({4, 3, 6}, {120, 20, 2}, 30).detach();
    const Tensor shared = b.strided({4, 6, 5}, {0, 5, 1}, 0);
    const Tensor out = Tensor::zeros({4, 3, 8}, type, device);
    gemm(device->stream(), a.strided({4, 3, 5}, {120, 20, 2}, 0).view(), false,
         shared.strided({4, 5, 5}, {0, 5, 1}, 5).view(), false,
         out.strided({4, 3, 5}, {24, 8, 1}, 1).view(), false);
    const std::vector<double> all = big.values();
    const std::vector<double> bv = b.values();
    const std::vector<double> cv = out.values();
    for (size_t e = 0; e < 4; ++e) {
      for (size_t i = 0; i < 3; ++i) {
        for (size_t j = 0; j < 8; ++j) {
          double right = 0;
          for (size_t k = 0; k < 5 && j >= 1 && j < 6; ++k) {
            right += all[e * 120 + 30 + i * 20 + 2 * k] * bv[(k + 1) * 5 + j - 1];
          }
          ASSERT_NEAR(cv[(e * 3 + i) * 8 + j], right,
                      tolerance(type, type) * (1 + std::abs(right)));
        }
      }
    }
  }
}

TEST(PackedWeights, PackedProductsEqualPlainOnes) {
  const auto device = Device::cpu(2);
  for (const auto& [out_dim, in_dim] : std::vector<std::pair<int64_t, int64_t>>{
           {64, 64}, {96, 32}, {192, 128}, {128, 48}, {7, 5}}) {
    for (DType type : {DType::f64, DType::f32, DType::bf16}) {
      const Tensor w = random({2, out_dim, in_dim}, wide(type), 3, device);
      PackedWeights forms(2, out_dim, in_dim, type, device);
      forms.refresh(w, 1);
      for (bool forward : {true, false}) {
        const WeightOperand b = forward ? forms.forward() : forms.input_gradient();
        ASSERT_EQ(b.k, forward ? in_dim : out_dim);
        ASSERT_EQ(b.n, forward ? out_dim : in_dim);
        const Tensor x = random({16, b.k}, type, 4, device);
        const Tensor y = Tensor::empty({16, b.n}, wide(type), device);
        ProductShape shape{.m = 16,
                           .n = b.n,
                           .k = b.k,
                           .lda = b.k,
                           .ldc = b.n,
                           .in = type,
                           .out = wide(type),
                           .block = b.block};
        shape.ldb = b.ld();
        shape.transpose_b = b.block == 0 && b.transposed;
        run(product(*device, shape), x.view().data, b.expert(1), y.view().data);
        const std::vector<double> xv = x.values();
        const std::vector<double> wv = Tensor::from(w.values(), w.shape(), type, device).values();
        const std::vector<double> yv = y.values();
        const auto offset = static_cast<size_t>(out_dim * in_dim);
        for (int64_t i = 0; i < 16; ++i) {
          for (int64_t j = 0; j < b.n; ++j) {
            double right = 0;
            for (int64_t k = 0; k < b.k; ++k) {
              right += xv[static_cast<size_t>(i * b.k + k)] *
                       wv[offset + static_cast<size_t>(forward ? j * in_dim + k : k * in_dim + j)];
            }
            ASSERT_NEAR(yv[static_cast<size_t>(i * b.n + j)], right,
                        tolerance(wide(type), type) * (1 + std::abs(right)))
                << name(type) << " " << out_dim << "x" << in_dim << " block " << b.block;
          }
        }
      }
    }
  }
}

// Sizes for which the library has no code for packed operands (here: gaps between the rows of C)
// must still give the right numbers.
TEST(Product, PackedOperandWithoutFastCode) {
  const auto device = Device::cpu(1);
  for (DType type : {DType::f32, DType::bf16}) {
    const Tensor w = random({64, 64}, DType::f32, 3, device);
    PackedWeights forms(1, 64, 64, type, device);
    forms.refresh(w, 1);
    const WeightOperand b = forms.input_gradient();
    if (b.block == 0) GTEST_SKIP() << "no packed products on this processor";
    const Tensor x = random({16, 64}, type, 4, device);
    const Tensor dense = Tensor::zeros({16, 64}, type, device);
    const Tensor gaps = Tensor::zeros({16, 100}, type, device);
    ProductShape shape{.m = 16, .n = 64, .k = 64, .lda = 64, .ldc = 64, .in = type, .out = type};
    shape.block = b.block;
    run(product(*device, shape), x.view().data, b.data(), dense.view().data);
    shape.ldc = 100;
    run(product(*device, shape), x.view().data, b.data(), gaps.view().data);
    const std::vector<double> expected_values = dense.values();
    const std::vector<double> got = gaps.values();
    for (size_t i = 0; i < 16; ++i) {
      for (size_t j = 0; j < 100; ++j) {
        const double right = j < 64 ? expected_values[i * 64 + j] : 0;
        ASSERT_NEAR(got[i * 100 + j], right, tolerance(type, type) * (1 + std::abs(right)));
      }
    }
  }
}

TEST(Product, RefusesTypesThatDoNotFit) {
  const auto device = Device::cpu(1);
  ProductShape shape{.m = 1, .n = 1, .k = 1, .lda = 1, .ldb = 1, .ldc = 1};
  shape.out = DType::bf16;
  EXPECT_THROW(product(*device, shape), Error);
  shape.in = DType::i32;
  EXPECT_THROW(product(*device, shape), Error);
}

TEST(PackedWeights, PanelsRenewEveryCopy) {
  const auto device = Device::cpu(2);
  for (DType type : {DType::f32, DType::bf16}) {
    const Tensor w = random({2, 160, 64}, DType::f32, 3, device);
    PackedWeights forms(2, 160, 64, type, device);
    forms.refresh(w, 1);
    forms.forward();
    forms.input_gradient();
    forms.plain();
    for (int64_t i = 0; i < w.elements(); ++i) w.data<float>()[i] += 1;
    int64_t rows = 0;
    for (int64_t i = 0; i < forms.panels(); ++i) {
      EXPECT_EQ(forms.panel(i).first_row, rows);
      rows += forms.panel(i).rows;
      forms.write_panel(i);
    }
    EXPECT_EQ(rows, 320);
    forms.written(2);
    PackedWeights again(2, 160, 64, type, device);
    again.refresh(w, 7);
    const auto bytes = static_cast<size_t>(w.elements()) * size_of(type);
    EXPECT_EQ(std::memcmp(forms.forward().data(), again.forward().data(), bytes), 0);
    EXPECT_EQ(std::memcmp(forms.input_gradient().data(), again.input_gradient().data(), bytes), 0);
    EXPECT_EQ(std::memcmp(forms.plain().view().data, again.plain().view().data, bytes), 0);
  }
}

// Text is written row by row; training multiplied many at once.
TEST(Product, OneRowHasTheBitsThatItHasAmongOthers) {
  const auto device = Device::cpu(1);
  for (const DType type : {DType::f64, DType::f32, DType::bf16}) {
    for (const int64_t k : {1, 5, 64, 300, 512, 768, 1024, 1344, 2048, 4096}) {
      for (const int64_t n : {1, 7, 64, 200}) {
        const Tensor rows = random({8, k}, type, 1, device);
        const Tensor weight = random({n, k}, type, 2, device);
        ProductShape shape;
        shape.n = n;
        shape.k = shape.lda = shape.ldb = k;
        shape.ldc = n;
        shape.transpose_b = true;
        shape.in = shape.out = type;
        const auto size = static_cast<int64_t>(size_of(type));
        std::vector<std::byte> all(static_cast<size_t>(8 * n * size));
        std::vector<std::byte> one(static_cast<size_t>(n * size));
        shape.m = 8;
        run(product(*device, shape), rows.view().data, weight.view().data, all.data());
        shape.m = 1;
        const auto* row = static_cast<const std::byte*>(rows.view().data) + 3 * k * size;
        run(product(*device, shape), row, weight.view().data, one.data());
        EXPECT_EQ(std::memcmp(one.data(), all.data() + 3 * n * size, one.size()), 0)
            << name(type) << " k " << k << " n " << n;
      }
    }
  }
}

}  // namespace
}  // namespace troupe::kernels::cpu
