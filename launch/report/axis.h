// Axis ranges and their ticks.
#pragma once

#include <string>
#include <vector>

namespace troupe::report_page {

struct Axis {
  double low = 0;
  double high = 1;
  bool logarithmic = false;
  std::vector<double> ticks;
  std::vector<std::string> labels;  // of the ticks

  // Place of a value on the axis, 0 at low and 1 at high.
  double place(double value) const;
};

// Covers the finite values with some room, ticks at 1, 2 or 5 times a power of ten. `from_zero`
// begins at 0; `tight` begins and ends at the values themselves; `whole` has ticks at whole numbers
// only. Logarithmic axes take values > 0, with at most 7 decades marked.
struct AxisOptions {
  bool from_zero = false;
  bool tight = false;
  bool logarithmic = false;
  bool whole = false;
  int ticks = 5;
  std::string suffix = "";  // behind each label: "%", "x"
};
Axis make_axis(const std::vector<double>& values, const AxisOptions& options);

}  // namespace troupe::report_page
