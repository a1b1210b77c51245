#include "launch/report/charts.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "launch/metrics/text.h"
#include "launch/report/columns.h"

namespace troupe::report_page {
namespace {

struct XAxis {
  std::string field = "step";
  double scale = 1;
  std::string label = "steps";
  bool whole = true;  // counts something
};

size_t filled(const std::vector<RunData>& runs) {
  return static_cast<size_t>(
      std::count_if(runs.begin(), runs.end(), [](const RunData& r) { return !r.rows.empty(); }));
}

struct Line {
  std::string field;
  std::string label;
  LineStyle style = LineStyle::solid;
  int color = 0;  // when there is one run; several runs have a colour each
  double scale = 1;
  std::string suffix = {};
  bool sparse = false;
  bool moe_only = false;  // leaves dense runs out
};

void add(LineChart& chart, const std::vector<RunData>& runs, const XAxis& x_axis,
         const Line& line) {
  const bool several = filled(runs) > 1;
  for (size_t r = 0; r < runs.size(); ++r) {
    if (runs[r].rows.empty() || (line.moe_only && !runs[r].is_moe())) continue;
    Series series;
    series.label = line.label;
    if (several) {
      series.label = line.label.empty() ? runs[r].name : runs[r].name + ", " + line.label;
      // The legend names each run once by its colour, then what another style stands for.
      series.neutral = line.style != LineStyle::solid;
      series.legend = series.neutral ? line.label : runs[r].name;
    }
    series.color = several ? static_cast<int>(r % 8) : line.color;
    series.style = line.style;
    series.x = values_of(runs[r], x_axis.field);
    for (double& x : series.x) x /= x_axis.scale;
    series.y = values_of(runs[r], line.field);
    for (double& y : series.y) y *= line.scale;
    series.run = r;
    series.field = line.field;
    series.scale = line.scale;
    series.suffix = line.suffix;
    series.sparse = line.sparse;
    const bool any =
        std::any_of(series.y.begin(), series.y.end(), [](double y) { return std::isfinite(y); });
    if (any || !line.sparse) chart.series.push_back(std::move(series));
  }
}

LineChart new_chart(const std::string& id, const std::string& title, const std::string& unit,
                    const XAxis& x_axis = {}) {
  LineChart chart;
  chart.id = id;
  chart.title = title;
  chart.unit = unit;
  chart.x_label = x_axis.label;
  chart.x_field = x_axis.field;
  chart.x_scale = x_axis.scale;
  chart.x_whole = x_axis.whole;
  return chart;
}

// "a: from 5.54 to 1.62; ..." of the first series of each run.
void summarise_ends(LineChart& chart) {
  for (size_t i = 0; i < chart.series.size() && i < 6; ++i) {
    const Series& s = chart.series[i];
    std::vector<double> finite;
    for (const double y : s.y) {
      if (std::isfinite(y)) finite.push_back(y);
    }
    if (finite.empty()) continue;
    chart.summary +=
        fmt::format("{}: from {:.4g} to {:.4g}{}. ", s.label.empty() ? chart.title : s.label,
                    finite.front(), finite.back(), s.suffix);
  }
  if (!chart.summary.empty()) chart.summary.pop_back();
}

// One line a run of one field.
LineChart single(const std::vector<RunData>& runs, const std::string& id, const std::string& title,
                 const std::string& unit, const Line& line) {
  LineChart chart = new_chart(id, title, unit);
  add(chart, runs, {}, line);
  return chart;
}

bool any_nonzero(const std::vector<RunData>& runs, const std::string& field) {
  return std::any_of(runs.begin(), runs.end(), [&](const RunData& run) {
    const auto values = values_of(run, field);
    return std::any_of(values.begin(), values.end(),
                       [](double v) { return std::isfinite(v) && v != 0; });
  });
}

XAxis time_axis(const std::vector<RunData>& runs) {
  double longest = 0;
  for (const RunData& run : runs) {
    if (!run.time_s.empty()) longest = std::max(longest, run.time_s.back());
  }
  if (longest < 180) return {"time_s", 1, "seconds of training", false};
  if (longest < 3 * 3600) return {"time_s", 60, "minutes of training", false};
  return {"time_s", 3600, "hours of training", false};
}

// A spread over more than 30 times, as a spike makes it, is shown on a logarithmic axis.
void widen(LineChart& chart) {
  double low = INFINITY, high = 0;
  for (const Series& series : chart.series) {
    for (const double y : series.y) {
      if (!(y > 0) || !std::isfinite(y)) continue;
      low = std::min(low, y);
      high = std::max(high, y);
    }
  }
  chart.y_axis.logarithmic = high > 30 * low;
  if (chart.y_axis.logarithmic) chart.unit += ", log scale";
}

std::vector<LineChart> finished(std::vector<LineChart> charts) {
  for (LineChart& chart : charts) summarise_ends(chart);
  return charts;
}

}  // namespace

std::vector<LineChart> loss_charts(const std::vector<RunData>& runs) {
  const bool several = filled(runs) > 1;
  const size_t most = std::max_element(runs.begin(), runs.end(), [](const auto& a, const auto& b) {
                        return a.rows.size() < b.rows.size();
                      })->rows.size();
  const bool smooth = most >= 80;  // a shorter run has no noise worth smoothing
  std::vector<LineChart> charts;
  const std::vector<std::pair<std::string, XAxis>> axes = {
      {"steps", {}}, {"tokens", {"tokens", 1, "tokens"}}, {"time", time_axis(runs)}};
  for (const auto& [name, axis] : axes) {
    LineChart chart = new_chart("loss-" + name, "Loss against " + name, "nats per token", axis);
    if (!several) {
      if (smooth) add(chart, runs, axis, {"loss", "training", LineStyle::faint, 0});
      add(chart, runs, axis,
          {smooth ? "loss_mean" : "loss", smooth ? "training, smoothed" : "training"});
      add(chart, runs, axis,
          {"val_loss", "held out", LineStyle::marked, 1, 1, "", /*sparse=*/true});
    } else {
      add(chart, runs, axis, {smooth ? "loss_mean" : "loss", "training"});
      add(chart, runs, axis,
          {"val_loss", "held out", LineStyle::marked, 0, 1, "", /*sparse=*/true});
    }
    widen(chart);
    charts.push_back(std::move(chart));
  }
  return finished(std::move(charts));
}

std::vector<LineChart> expert_charts(const std::vector<RunData>& runs) {
  const bool several = filled(runs) > 1;
  LineChart imbalance = new_chart("imbalance", "Imbalance", "busiest over the mean");
  add(imbalance, runs, {},
      {"load_max_over_mean", several ? "" : "experts, worst layer", LineStyle::solid, 1, 1, "",
       false, true});
  if (!several && any_nonzero(runs, "rank_load_max_over_mean")) {
    add(imbalance, runs, {},
        {"rank_load_max_over_mean", "ranks", LineStyle::solid, 2, 1, "", false, true});
  }
  imbalance.reference = 1;
  imbalance.reference_label = "perfect balance";
  LineChart drops = single(runs, "drops", "Dropped assignments", "percent",
                           {"dropped_fraction", "", LineStyle::solid, 1, 100, " %", false, true});
  drops.y_axis = {.from_zero = true, .suffix = " %"};
  LineChart entropy = single(runs, "entropy", "Router entropy", "nats per token",
                             {"router_entropy", "", LineStyle::solid, 3, 1, "", false, true});
  std::vector<LineChart> charts = {imbalance, drops, entropy};
  if (any_nonzero(runs, "dead_experts")) {
    charts.push_back(single(runs, "dead", "Experts without a token", "over all layers",
                            {"dead_experts", "", LineStyle::solid, 1, 1, "", false, true}));
    charts.back().y_axis = {.from_zero = true, .whole = true};
  }
  return finished(std::move(charts));
}

std::vector<LineChart> optimisation_charts(const std::vector<RunData>& runs) {
  LineChart norm = single(runs, "grad-norm", "Gradient norm", "before clipping",
                          {"grad_norm", "", LineStyle::solid, 0});
  widen(norm);
  norm.y_axis.from_zero = !norm.y_axis.logarithmic;
  LineChart rate = single(runs, "lr", "Learning rate", "", {"lr", "", LineStyle::solid, 2});
  rate.y_axis.from_zero = true;
  std::vector<LineChart> charts = {norm, rate};
  if (any_nonzero(runs, "balance_loss") || any_nonzero(runs, "z_loss")) {
    LineChart terms = new_chart("regularisers", "Balance terms", "added to the loss");
    add(terms, runs, {}, {"balance_loss", "balance", LineStyle::solid, 1, 1, "", false, true});
    add(terms, runs, {}, {"z_loss", "router z", LineStyle::dashed, 3, 1, "", false, true});
    terms.y_axis.from_zero = true;
    charts.push_back(std::move(terms));
  }
  return finished(std::move(charts));
}

std::vector<LineChart> speed_charts(const std::vector<RunData>& runs) {
  LineChart speed = single(runs, "tokens-per-s", "Tokens per second", "all ranks",
                           {"tokens_per_s", "", LineStyle::solid, 2});
  speed.y_axis.from_zero = true;
  std::vector<LineChart> charts = {speed};
  if (any_nonzero(runs, "gemm_fraction")) {
    charts.push_back(single(runs, "gemm-fraction", "Share of the machine's matrix rate", "percent",
                            {"gemm_fraction", "", LineStyle::solid, 0, 100, " %"}));
    charts.back().y_axis = {.from_zero = true, .suffix = " %"};
  }
  return finished(std::move(charts));
}

}  // namespace troupe::report_page
