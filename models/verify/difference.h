// How far the numbers of two runs of one model are apart.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <string>
#include <vector>

#include "models/verify/gathered.h"

namespace troupe::laws {

// The size of a list of numbers in both norms.
struct Size {
  double largest = 0.0;
  double squares = 0.0;
  void add(double value) {
    largest = std::max(largest, std::abs(value));
    squares += value * value;
  }
  double two_norm() const { return std::sqrt(squares); }
};

Size size_of(const NamedTensor& tensor);

enum class Norm : uint8_t { maximum, two };

// |a - b| / |a| of each tensor of `a`, which is compared with the one of the same name in `b`. |a|
// counts as at least 1e-3 x that of a tensor whose elements are all the RMS of everything in `a`.
// Infinite where `b` lacks the tensor, has it in another size, or a difference is not finite.
std::vector<double> differences(const std::vector<NamedTensor>& a,
                                const std::vector<NamedTensor>& b, Norm norm);

// The largest of these in the maximum norm; `where` names the tensor. Infinite also where `b` has a
// tensor that `a` has not.
double worst_difference(const std::vector<NamedTensor>& a, const std::vector<NamedTensor>& b,
                        std::string& where);

// The largest |a[i] - b[i]| / max(|a[i]|, 1e-12). Infinite where the lists differ in length or a
// difference is not finite.
double worst_difference(const std::vector<double>& a, const std::vector<double>& b);

}  // namespace troupe::laws
