// The difference of two checkpoint files, tensor by tensor.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace troupe::checkpoint {

struct TensorDifference {
  std::string name;
  // max|a-b| / max(max|a|, 1e-3 x RMS of all tensors of A in the same folder).
  double relative = 0;
  double absolute = 0;   // max|a-b|
  int64_t elements = 0;  // how many differ
  std::string problem;   // "only in A", other shape or type; empty when values were compared
};

struct Comparison {
  std::vector<TensorDifference> tensors;  // those that differ, ordered by name
  std::vector<std::string> scalars;       // "step: 200 and 400"
  bool config_differs = false;
  int64_t compared = 0;  // tensors in both files
  bool equal() const { return tensors.empty() && scalars.empty() && !config_differs; }
  // The one with the largest relative difference; null when no values differ.
  const TensorDifference* largest() const;
};

// Error(checkpoint) when a file is damaged. NaN differs from every number, not from NaN.
Comparison compare(const std::string& a, const std::string& b);

}  // namespace troupe::checkpoint
