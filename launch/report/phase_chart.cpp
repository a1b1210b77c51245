#include "launch/report/phase_chart.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <numeric>

#include "launch/metrics/text.h"
#include "launch/report/axis.h"
#include "launch/report/html.h"
#include "launch/report/line_chart.h"
#include "launch/report/verdict.h"

namespace troupe::report_page {
namespace {

constexpr size_t kPhaseCount = 7;
constexpr size_t kColumns = 90;

struct Column {
  double step = 0;
  std::array<double, kPhaseCount> phases{};
};

// Rows put together until at most kColumns are left; milliseconds are averaged.
std::vector<Column> columns_of(const std::vector<StepMetrics>& rows) {
  const size_t count = std::min(kColumns, rows.size());
  std::vector<Column> out(count);
  for (size_t c = 0; c < count; ++c) {
    const size_t begin = c * rows.size() / count;
    const size_t end = (c + 1) * rows.size() / count;
    const auto share = 1.0 / static_cast<double>(end - begin);
    for (size_t i = begin; i < end; ++i) {
      out[c].step += share * static_cast<double>(rows[i].step);
      const auto phases = phases_of(rows[i]);
      for (size_t p = 0; p < kPhaseCount; ++p) {
        if (std::isfinite(phases[p])) out[c].phases[p] += share * phases[p];
      }
    }
  }
  return out;
}

std::vector<LegendEntry> phase_legend(const std::array<double, kPhaseCount>& ms, bool shares) {
  const double all = std::accumulate(ms.begin(), ms.end(), 0.0);
  std::vector<LegendEntry> out;
  for (size_t p = 0; p < kPhaseCount; ++p) {
    std::string label = phase_names()[p];
    if (shares && all > 0) label += fmt::format(" {:.1f} %", 100 * ms[p] / all);
    out.push_back({fmt::format("p{} area", p), label});
  }
  return out;
}

}  // namespace

std::string phase_area(const std::string& id, const RunData& run, size_t run_index) {
  const auto columns = columns_of(run.all);
  std::vector<double> x = {static_cast<double>(run.all.front().step),
                           static_cast<double>(run.all.back().step)};
  std::vector<double> totals;
  for (const Column& column : columns) {
    totals.push_back(std::accumulate(column.phases.begin(), column.phases.end(), 0.0));
  }
  const Axis x_axis = make_axis(x, {.tight = true, .whole = true, .ticks = 4});
  const Axis y_axis = make_axis(totals, {.from_zero = true});
  const Summary summary = summarise(run);
  std::string out = figure_head(id, "Time of a step by phase", "milliseconds");
  out += legend(phase_legend(summary.phase_ms, /*shares=*/true));
  const std::string words =
      fmt::format("From {} a step at the start to {} at the end.", step_time_text(totals.front()),
                  step_time_text(totals.back()));
  out += "<div class=\"frame\">" + y_labels(y_axis);
  out += fmt::format(
      "<div class=\"plot\" tabindex=\"0\" role=\"group\" data-chart=\"{0}\" data-run=\"{1}\" "
      "data-x0=\"{2}\" data-x1=\"{3}\" data-y0=\"{4}\" data-y1=\"{5}\" "
      "aria-label=\"Time of a step by phase: {6} Arrow keys read values.\">"
      "<svg viewBox=\"0 0 1000 1000\" preserveAspectRatio=\"none\" role=\"img\" "
      "aria-label=\"{6}\">",
      id, run_index, x_axis.low, x_axis.high, y_axis.low, y_axis.high, words);
  out += grid_lines(y_axis);
  std::vector<double> floor(columns.size(), 0.0);
  for (size_t p = 0; p < kPhaseCount; ++p) {
    std::string up, back;
    for (size_t c = 0; c < columns.size(); ++c) {
      const double at = 1000 * x_axis.place(columns[c].step);
      const double top = floor[c] + columns[c].phases[p];
      up += fmt::format("{}{:.1f} {:.1f}", c == 0 ? "M" : "L", at, 1000 * (1 - y_axis.place(top)));
      back.insert(0, fmt::format("L{:.1f} {:.1f}", at, 1000 * (1 - y_axis.place(floor[c]))));
      floor[c] = top;
    }
    out += fmt::format("<path class=\"area p{}\" d=\"{}{}z\"/>", p, up, back);
  }
  out += "</svg></div>" + x_labels(x_axis, "steps") + "</div></figure>\n";
  return out;
}

std::string phase_bars(const std::string& id, const std::vector<RunData>& runs) {
  double longest = 0;
  for (const RunData& run : runs) {
    if (run.all.empty()) continue;
    const auto ms = summarise(run).phase_ms;
    longest = std::max(longest, std::accumulate(ms.begin(), ms.end(), 0.0));
  }
  std::string out = figure_head(id, "Time of a step by phase", "milliseconds, mean of the run");
  out += legend(phase_legend({}, /*shares=*/false));
  out += "<div class=\"bars\">";
  for (const RunData& run : runs) {
    if (run.all.empty()) continue;
    const auto ms = summarise(run).phase_ms;
    const double all = std::accumulate(ms.begin(), ms.end(), 0.0);
    std::string parts, words;
    double at = 0;
    for (size_t p = 0; p < kPhaseCount; ++p) {
      const double width = longest > 0 ? 1000 * ms[p] / longest : 0;
      parts += fmt::format(
          "<rect class=\"area p{}\" x=\"{:.1f}\" y=\"0\" width=\"{:.1f}\" "
          "height=\"1\"><title>{} {:.4g} ms</title></rect>",
          p, at, width, phase_names()[p], ms[p]);
      words += fmt::format("{}{} {:.4g}", p == 0 ? "" : ", ", phase_names()[p], ms[p]);
      at += width;
    }
    out += fmt::format(
        "<div class=\"bar-name\">{}</div><svg viewBox=\"0 0 1000 1\" "
        "preserveAspectRatio=\"none\" role=\"img\" aria-label=\"{}: {} "
        "milliseconds\">{}</svg><div class=\"bar-total\">{}</div>",
        escape(run.name), escape(run.name), words, parts, step_time_text(all));
  }
  return out + "</div></figure>\n";
}

}  // namespace troupe::report_page
