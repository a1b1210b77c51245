// The sizes of a tensor's dims. A value of fixed capacity: no allocation.
#pragma once

#include <array>
#include <cstdint>
#include <initializer_list>
#include <string>

namespace troupe {

constexpr int kMaxRank = 6;

class Shape {
 public:
  Shape() = default;
  Shape(std::initializer_list<int64_t> dims);

  int rank() const { return rank_; }
  // Negative indices count from the end.
  int64_t operator[](int dim) const { return dims_[index(dim)]; }
  int64_t& operator[](int dim) { return dims_[index(dim)]; }
  void append(int64_t size);
  int64_t elements() const;
  const int64_t* begin() const { return dims_.data(); }
  const int64_t* end() const { return dims_.data() + rank_; }
  bool operator==(const Shape& other) const;
  std::string text() const;  // "[2, 3]"

 private:
  int index(int dim) const;
  std::array<int64_t, kMaxRank> dims_{};
  int rank_ = 0;
};

// Row-major strides, in elements.
Shape contiguous_strides(const Shape& shape);
// NumPy broadcasting of two shapes; throws naming both when they do not fit.
Shape broadcast(const Shape& a, const Shape& b);

}  // namespace troupe
