#include "core/tensor/shape.h"

#include <algorithm>

#include "core/base/error.h"

namespace troupe {

Shape::Shape(std::initializer_list<int64_t> dims) {
  for (int64_t size : dims) append(size);
}

int Shape::index(int dim) const {
  const int positive = dim < 0 ? dim + rank_ : dim;
  require(positive >= 0 && positive < rank_, "dim {} of a shape with {} dims", dim, rank_);
  return positive;
}

void Shape::append(int64_t size) {
  require(rank_ < kMaxRank, "a tensor has at most {} dims", kMaxRank);
  require(size >= 0, "a dim cannot have size {}", size);
  dims_[rank_++] = size;
}

int64_t Shape::elements() const {
  int64_t count = 1;
  for (int64_t size : *this) count *= size;
  return count;
}

bool Shape::operator==(const Shape& other) const {
  return rank_ == other.rank_ && std::equal(begin(), end(), other.begin());
}

std::string Shape::text() const {
  std::string out = "[";
  for (int i = 0; i < rank_; ++i) out += (i ? ", " : "") + std::to_string(dims_[i]);
  return out + "]";
}

Shape contiguous_strides(const Shape& shape) {
  Shape strides = shape;
  int64_t stride = 1;
  for (int i = shape.rank() - 1; i >= 0; --i) {
    strides[i] = stride;
    stride *= std::max<int64_t>(shape[i], 1);
  }
  return strides;
}

Shape broadcast(const Shape& a, const Shape& b) {
  const int rank = std::max(a.rank(), b.rank());
  Shape out;
  for (int i = 0; i < rank; ++i) {
    const int from_end = rank - i;
    const int64_t size_a = from_end > a.rank() ? 1 : a[a.rank() - from_end];
    const int64_t size_b = from_end > b.rank() ? 1 : b[b.rank() - from_end];
    require(size_a == size_b || size_a == 1 || size_b == 1, "shapes {} and {} do not broadcast",
            a.text(), b.text());
    out.append(size_a == 1 ? size_b : size_a);
  }
  return out;
}

}  // namespace troupe
