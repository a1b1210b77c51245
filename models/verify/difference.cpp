#include "models/verify/difference.h"

#include <algorithm>
#include <limits>

namespace troupe::laws {
namespace {

constexpr double kUnbounded = std::numeric_limits<double>::infinity();

const NamedTensor* find(const std::vector<NamedTensor>& tensors, const std::string& name) {
  const auto found = std::find_if(tensors.begin(), tensors.end(),
                                  [&](const NamedTensor& tensor) { return tensor.name == name; });
  return found == tensors.end() ? nullptr : &*found;
}

// floor: the least size of `a`.
double difference(const NamedTensor& a, const NamedTensor& b, Norm norm, double floor) {
  Size gap;
  for (size_t i = 0; i < a.values.size(); ++i) gap.add(a.values[i] - b.values[i]);
  if (!std::isfinite(gap.two_norm())) return kUnbounded;
  if (gap.two_norm() == 0.0) return 0.0;
  const Size size = size_of(a);
  return norm == Norm::two ? gap.two_norm() / std::max(size.two_norm(), floor)
                           : gap.largest / std::max(size.largest, floor);
}

}  // namespace

Size size_of(const NamedTensor& tensor) {
  Size size;
  for (const double value : tensor.values) size.add(value);
  return size;
}

std::vector<double> differences(const std::vector<NamedTensor>& a,
                                const std::vector<NamedTensor>& b, Norm norm) {
  double squares = 0.0;
  int64_t count = 0;
  for (const NamedTensor& tensor : a) {
    for (const double value : tensor.values) squares += value * value;
    count += static_cast<int64_t>(tensor.values.size());
  }
  const double rms = std::sqrt(squares / static_cast<double>(std::max<int64_t>(count, 1)));
  std::vector<double> out;
  for (const NamedTensor& tensor : a) {
    const NamedTensor* other = find(b, tensor.name);
    if (other == nullptr || other->values.size() != tensor.values.size()) {
      out.push_back(kUnbounded);
      continue;
    }
    const auto elements = static_cast<double>(tensor.values.size());
    const double floor = 1e-3 * rms * (norm == Norm::two ? std::sqrt(elements) : 1.0);
    out.push_back(difference(tensor, *other, norm, floor));
  }
  return out;
}

double worst_difference(const std::vector<NamedTensor>& a, const std::vector<NamedTensor>& b,
                        std::string& where) {
  const std::vector<double> found = differences(a, b, Norm::maximum);
  double worst = 0.0;
  for (size_t i = 0; i < a.size(); ++i) {
    if (found[i] <= worst) continue;
    worst = found[i];
    where = a[i].name;
  }
  for (const NamedTensor& tensor : b) {
    if (find(a, tensor.name) != nullptr || worst == kUnbounded) continue;
    worst = kUnbounded;
    where = tensor.name;
  }
  return worst;
}

double worst_difference(const std::vector<double>& a, const std::vector<double>& b) {
  if (a.size() != b.size()) return kUnbounded;
  double worst = 0.0;
  for (size_t i = 0; i < a.size(); ++i) {
    const double gap = std::abs(a[i] - b[i]);
    if (!std::isfinite(gap)) return kUnbounded;
    worst = std::max(worst, gap / std::max(std::abs(a[i]), 1e-12));
  }
  return worst;
}

}  // namespace troupe::laws
