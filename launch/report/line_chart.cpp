#include "launch/report/line_chart.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "launch/report/html.h"

namespace troupe::report_page {
namespace {

// The plot is 1000 x 1000 units, y downwards.
double across(const Axis& axis, double x) { return 1000 * axis.place(x); }
double down(const Axis& axis, double y) { return 1000 * (1 - axis.place(y)); }

bool drawable(const Axis& y_axis, double x, double y) {
  return std::isfinite(x) && std::isfinite(y) && (!y_axis.logarithmic || y > 0);
}

std::string path_of(const Series& series, const Axis& x_axis, const Axis& y_axis) {
  std::string line;
  std::string dots;
  bool connected = false;
  size_t stretch = 0;  // values since the last gap
  for (size_t i = 0; i < series.x.size(); ++i) {
    if (!drawable(y_axis, series.x[i], series.y[i])) {
      // Held-out losses come at some steps only: no gap between them.
      if (series.style != LineStyle::marked) connected = false;
      continue;
    }
    const double x = across(x_axis, series.x[i]);
    const double y = down(y_axis, series.y[i]);
    line += fmt::format("{}{:.1f} {:.1f}", connected ? "L" : "M", x, y);
    stretch = connected ? stretch + 1 : 1;
    connected = true;
    dots += fmt::format("M{:.1f} {:.1f}h0", x, y);
  }
  std::string out = fmt::format("<path class=\"line c{} {}\" d=\"{}\"/>", series.color,
                                css_class(series.style), line);
  // A single value has no line: it gets a dot, as have marked series unless dots would hide it.
  const size_t count = static_cast<size_t>(std::count(dots.begin(), dots.end(), 'M'));
  if ((series.style == LineStyle::marked && count <= 40) ||
      (stretch == 1 && line.find('L') == std::string::npos)) {
    out += fmt::format("<path class=\"dots c{}\" d=\"{}\"/>", series.color, dots);
  }
  return out;
}

}  // namespace

const char* css_class(LineStyle style) {
  switch (style) {
    case LineStyle::faint:
      return "faint";
    case LineStyle::dashed:
      return "dashed";
    case LineStyle::marked:
      return "marked";
    case LineStyle::solid:
      break;
  }
  return "solid";
}

std::string figure_head(const std::string& id, const std::string& title, const std::string& unit) {
  return fmt::format(
      "<figure class=\"chart\" id=\"{0}\" aria-labelledby=\"{0}-title\">"
      "<figcaption><h3 id=\"{0}-title\">{1}</h3><span class=\"unit\">{2}</span></figcaption>",
      id, escape(title), escape(unit));
}

std::string y_labels(const Axis& axis) {
  std::string out = "<div class=\"y-ticks\" aria-hidden=\"true\">";
  for (size_t i = 0; i < axis.ticks.size(); ++i) {
    out += fmt::format("<span style=\"top:{:.2f}%\">{}</span>",
                       100 * (1 - axis.place(axis.ticks[i])), axis.labels[i]);
  }
  return out + "</div>";
}

std::string x_labels(const Axis& axis, const std::string& x_label) {
  std::string out = "<div class=\"x-ticks\" aria-hidden=\"true\">";
  for (size_t i = 0; i < axis.ticks.size(); ++i) {
    out += fmt::format("<span style=\"left:{:.2f}%\">{}</span>", 100 * axis.place(axis.ticks[i]),
                       axis.labels[i]);
  }
  return out +
         fmt::format("</div><div class=\"x-label\" aria-hidden=\"true\">{}</div>", escape(x_label));
}

std::string grid_lines(const Axis& y_axis) {
  std::string lines;
  for (const double tick : y_axis.ticks) lines += fmt::format("M0 {:.1f}h1000", down(y_axis, tick));
  return fmt::format("<path class=\"grid\" d=\"{}\"/>", lines);
}

std::string legend(const std::vector<LegendEntry>& entries) {
  std::string out = "<ul class=\"legend\">";
  for (const LegendEntry& entry : entries) {
    out += fmt::format("<li><i class=\"key {}\"></i>{}</li>", entry.css_class, escape(entry.label));
  }
  return out + "</ul>";
}

std::string to_html(const LineChart& chart) {
  std::vector<double> all_x, all_y;
  std::vector<LegendEntry> entries;
  for (const Series& series : chart.series) {
    all_x.insert(all_x.end(), series.x.begin(), series.x.end());
    all_y.insert(all_y.end(), series.y.begin(), series.y.end());
    const std::string& label = series.legend.empty() ? series.label : series.legend;
    if (label.empty() || std::any_of(entries.begin(), entries.end(), [&](const LegendEntry& entry) {
          return entry.label == label;
        })) {
      continue;
    }
    const std::string color = series.neutral ? "" : fmt::format("c{} ", series.color);
    entries.push_back({color + css_class(series.style), label});
  }
  if (!chart.reference_label.empty()) {
    all_y.push_back(chart.reference);
    entries.push_back({"reference", chart.reference_label});
  }
  const Axis x_axis = make_axis(all_x, {.tight = true, .whole = chart.x_whole, .ticks = 4});
  const Axis y_axis = make_axis(all_y, chart.y_axis);
  std::string out = figure_head(chart.id, chart.title, chart.unit);
  out += entries.size() > 1 ? legend(entries) : "<div class=\"legend\"></div>";
  out += "<div class=\"frame\">" + y_labels(y_axis);
  out += fmt::format(
      "<div class=\"plot\" tabindex=\"0\" role=\"group\" data-chart=\"{0}\" data-x0=\"{1}\" "
      "data-x1=\"{2}\" data-y0=\"{3}\" data-y1=\"{4}\"{5} aria-label=\"{6}: {7} Arrow keys read "
      "values.\">"
      "<svg viewBox=\"0 0 1000 1000\" preserveAspectRatio=\"none\" role=\"img\" "
      "aria-label=\"{7}\">",
      chart.id, x_axis.low, x_axis.high, y_axis.low, y_axis.high,
      y_axis.logarithmic ? " data-log=\"1\"" : "", escape(chart.title), escape(chart.summary));
  out += grid_lines(y_axis);
  if (!chart.reference_label.empty()) {
    out += fmt::format("<path class=\"reference\" d=\"M0 {:.1f}h1000\"/>",
                       down(y_axis, chart.reference));
  }
  for (const Series& series : chart.series) out += path_of(series, x_axis, y_axis);
  out += "</svg></div>" + x_labels(x_axis, chart.x_label) + "</div></figure>\n";
  return out;
}

}  // namespace troupe::report_page
