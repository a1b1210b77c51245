// Checks on the machine at hand that the program computes what it should: gradients against finite
// differences, layouts against one rank, one thread against several, rows of products alone and
// together, checkpoints against the state they were made from.
#pragma once

#include <string>
#include <vector>

namespace troupe {

struct SelftestRow {
  std::string name;
  double worst = 0;  // largest difference found
  double tolerance = 0;
  std::string where;  // the tensor or layout with the largest difference
  double seconds = 0;
  bool passed() const { return worst <= tolerance; }
};

struct SelftestOptions {
  double gradient_tolerance = 1e-6;  // of a directional derivative, relative
  double layout_tolerance = 1e-10;
};

// One row per router, precision and subject. Uses threads as ranks and a temporary directory that
// it removes.
std::vector<SelftestRow> selftest(const SelftestOptions& options = {});

}  // namespace troupe
