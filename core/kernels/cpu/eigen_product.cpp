#define EIGEN_DONT_PARALLELIZE
#include "core/kernels/cpu/eigen_product.h"

#include <Eigen/Core>

#include "core/base/error.h"

namespace troupe::kernels {
namespace {

template <typename T, int Order>
using Strided = Eigen::Map<const Eigen::Matrix<T, Eigen::Dynamic, Eigen::Dynamic, Order>, 0,
                           Eigen::OuterStride<>>;

template <typename T, int OrderA, int OrderB>
void multiply(const ProductShape& s, const T* a, const T* b, T* c) {
  const Strided<T, OrderA> left(a, s.m, s.k, Eigen::OuterStride<>(s.lda));
  const Strided<T, OrderB> right(b, s.k, s.n, Eigen::OuterStride<>(s.ldb));
  Eigen::Map<Eigen::Matrix<T, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>, 0,
             Eigen::OuterStride<>>
      out(c, s.m, s.n, Eigen::OuterStride<>(s.ldc));
  if (s.accumulate) {
    out.noalias() += left * right;
  } else {
    out.noalias() = left * right;
  }
}

template <typename T>
void multiply(const ProductShape& s, const void* a, const void* b, void* c) {
  const auto* left = static_cast<const T*>(a);
  const auto* right = static_cast<const T*>(b);
  auto* out = static_cast<T*>(c);
  if (s.transpose_a) {
    s.transpose_b ? multiply<T, Eigen::ColMajor, Eigen::ColMajor>(s, left, right, out)
                  : multiply<T, Eigen::ColMajor, Eigen::RowMajor>(s, left, right, out);
  } else {
    s.transpose_b ? multiply<T, Eigen::RowMajor, Eigen::ColMajor>(s, left, right, out)
                  : multiply<T, Eigen::RowMajor, Eigen::RowMajor>(s, left, right, out);
  }
}

}  // namespace

void eigen_product(const ProductShape& shape, const void* a, const void* b, void* c) {
  if (shape.in == DType::f64) return multiply<double>(shape, a, b, c);
  require(shape.in == DType::f32, "no Eigen product for {}", name(shape.in));
  multiply<float>(shape, a, b, c);
}

}  // namespace troupe::kernels
