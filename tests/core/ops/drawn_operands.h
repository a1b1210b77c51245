// Operands of operators, drawn: their shapes, and how they lie in memory.
#pragma once

#include <functional>
#include <vector>

#include "core/base/random.h"
#include "tests/core/ops/gradient_check.h"

namespace troupe::testing {

// A tensor and the view of it that an operator is given.
struct Operand {
  Tensor base;
  std::function<Tensor(const Tensor&)> view;
};

// What is drawn in one round.
class Draw {
 public:
  explicit Draw(uint64_t round) : round_(round), random_(round, "random shapes") {}

  int64_t below(int64_t n) {
    return static_cast<int64_t>(random_.below(next_++, static_cast<uint64_t>(n)));
  }
  bool coin() { return below(2) == 1; }
  int64_t some() { return kSizes[static_cast<size_t>(1 + below(4))]; }
  int64_t any() { return kSizes[static_cast<size_t>(below(5))]; }
  // [any, ..., any, last] of 1 to 3 dims.
  Shape shape(int64_t last) {
    Shape out;
    for (int64_t i = below(3); i > 0; --i) out.append(any());
    out.append(last);
    return out;
  }
  std::vector<int32_t> indices(int64_t count, int64_t low, int64_t high) {
    std::vector<int32_t> out;
    for (int64_t i = 0; i < count; ++i)
      out.push_back(static_cast<int32_t>(low + below(high - low)));
    return out;
  }

  // Each kind of view comes in turn, another one for each operand of a round.
  Operand operand(const Shape& shape, double spread = 1.0, double offset = 0.0) {
    const uint64_t kind = (round_ + used_++) % 4;
    Shape base = shape;
    std::function<Tensor(const Tensor&)> view = [](const Tensor& x) { return x; };
    if (kind == 1 && shape.rank() >= 2) {
      std::swap(base[-1], base[-2]);
      view = through_transpose;
    } else if (kind == 2 && shape.rank() >= 1) {
      base[-1] += 2;
      view = through_cut;
    } else if (kind == 3 && shape.rank() >= 1) {
      base[0] = 1;
      view = [rows = shape[0]](const Tensor& x) { return through_expand(x, rows); };
    }
    return {random_tensor(base, round_ * 100 + used_, spread, offset), view};
  }

 private:
  static constexpr int64_t kSizes[] = {0, 1, 2, 3, 5};
  uint64_t round_;
  Random random_;
  uint64_t next_ = 0;
  uint64_t used_ = 0;
};

}  // namespace troupe::testing
