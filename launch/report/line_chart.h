// Line charts as a figure of HTML and SVG. The SVG stretches with the page; all text is HTML, so
// that it keeps its size on a phone.
#pragma once

#include <string>
#include <vector>

#include "launch/report/axis.h"

namespace troupe::report_page {

enum class LineStyle { solid, faint, dashed, marked };  // marked: dashed with a dot at each value

struct Series {
  std::string label;     // read out with a value
  std::string legend;    // in the legend, once for all series that share it; empty: the label
  bool neutral = false;  // the legend shows the style without the colour
  int color = 0;         // 0 .. 7, of the page's palette
  LineStyle style = LineStyle::solid;
  std::vector<double> x;
  std::vector<double> y;  // NaN: a gap
  // Where the page's script finds the same values: field of the run's rows times scale.
  size_t run = 0;
  std::string field;
  double scale = 1;
  std::string suffix;   // behind a value that is read out: " %"
  bool sparse = false;  // only some rows have the field
};

struct LineChart {
  std::string id;  // unique on the page
  std::string title;
  std::string unit;  // what y is
  std::string x_label;
  std::string x_field;  // of the run's rows, divided by x_scale
  double x_scale = 1;
  bool x_whole = false;  // x counts something: ticks at whole numbers
  std::vector<Series> series;
  AxisOptions y_axis;
  double reference = 0;         // a horizontal line at this value
  std::string reference_label;  // empty: no such line
  std::string summary;          // one sentence for screen readers
};

std::string to_html(const LineChart& chart);
const char* css_class(LineStyle style);

// Parts shared with other charts of the page.
std::string figure_head(const std::string& id, const std::string& title, const std::string& unit);
std::string y_labels(const Axis& axis);
std::string x_labels(const Axis& axis, const std::string& x_label);
std::string grid_lines(const Axis& y_axis);
struct LegendEntry {
  std::string css_class;  // "c0 solid", "p3 area"
  std::string label;
};
std::string legend(const std::vector<LegendEntry>& entries);

}  // namespace troupe::report_page
