#include "launch/report/heat_map.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>

#include "launch/metrics/text.h"
#include "launch/report/html.h"
#include "launch/report/line_chart.h"

namespace troupe::report_page {
namespace {

constexpr int kDead = 11;
// Bounds of the classes in log2(load / mean): within 7 %, 19 %, 41 %, 1.9 times, 2.6 times.
constexpr std::array<double, 5> kBounds = {0.1, 0.25, 0.5, 0.9, 1.4};

// Cells of a class as one path, neighbours in a row joined.
std::string cells_of(const HeatMap& map, int wanted) {
  std::string path;
  for (size_t row = 0; row < map.values.size(); ++row) {
    const auto& values = map.values[row];
    for (size_t begin = 0; begin < values.size();) {
      size_t end = begin;
      while (end < values.size() && std::isfinite(values[end]) &&
             heat_class(values[end]) == wanted) {
        ++end;
      }
      if (end > begin)
        path += fmt::format("M{} {}h{}v1h-{}z", begin, row, end - begin, end - begin);
      begin = end + 1;
    }
  }
  return path;
}

// Thin lines between cells, left out where they would cover narrow cells.
std::string cell_borders(size_t columns, size_t rows) {
  std::string path;
  for (size_t x = 1; x < columns && columns <= 32; ++x) path += fmt::format("M{} 0v{}", x, rows);
  for (size_t y = 1; y < rows && rows <= 64; ++y) path += fmt::format("M0 {}h{}", y, columns);
  return path.empty() ? path : fmt::format("<path class=\"borders\" d=\"{}\"/>", path);
}

std::string y_tick_labels(const HeatMap& map) {
  const size_t rows = map.rows.size();
  const size_t stride = (rows + 15) / 16;
  std::string out = "<div class=\"y-ticks\" aria-hidden=\"true\">";
  for (size_t i = 0; i < rows; i += stride) {
    out += fmt::format("<span style=\"top:{:.2f}%\">{}</span>",
                       100 * (static_cast<double>(i) + 0.5) / static_cast<double>(rows),
                       escape(map.y_ticks[i]));
  }
  return out + "</div>";
}

std::string x_tick_labels(const HeatMap& map) {
  std::string out = "<div class=\"x-ticks\" aria-hidden=\"true\">";
  for (const auto& [place, label] : map.x_ticks) {
    out += fmt::format("<span style=\"left:{:.2f}%\">{}</span>",
                       100 * place / static_cast<double>(map.columns.size()), escape(label));
  }
  return out + fmt::format("</div><div class=\"x-label\" aria-hidden=\"true\">{}</div>",
                           escape(map.x_label));
}

// Load over mean of one layer's experts, counts summed over records [begin, end).
std::vector<double> load_over_mean(const ExpertLoads& loads, size_t layer, size_t begin,
                                   size_t end) {
  size_t first = 0;
  for (size_t i = 0; i < layer; ++i) first += static_cast<size_t>(loads.layers[i].experts);
  const auto experts = static_cast<size_t>(loads.layers[layer].experts);
  std::vector<double> out(experts, 0.0);
  double sum = 0;
  for (size_t record = begin; record < end; ++record) {
    for (size_t e = 0; e < experts; ++e) {
      out[e] += loads.counts[record][first + e];
      sum += loads.counts[record][first + e];
    }
  }
  const double mean = sum / static_cast<double>(experts);
  for (double& value : out) {
    value = mean > 0 ? value / mean : std::numeric_limits<double>::quiet_NaN();
  }
  return out;
}

// Round steps below the columns that hold them; a few columns are named one by one.
std::vector<std::pair<double, std::string>> step_ticks(const std::vector<int64_t>& steps,
                                                       size_t columns) {
  std::vector<std::pair<double, std::string>> out;
  if (columns <= 8) {
    for (size_t c = 0; c < columns; ++c) {
      const int64_t last = steps[(c + 1) * steps.size() / columns - 1];
      out.emplace_back(static_cast<double>(c) + 0.5, fmt::format("{}", last));
    }
    return out;
  }
  const Axis axis =
      make_axis({static_cast<double>(steps.front()), static_cast<double>(steps.back())},
                {.tight = true, .whole = true, .ticks = 4});
  for (size_t i = 0; i < axis.ticks.size(); ++i) {
    const auto at = std::lower_bound(steps.begin(), steps.end(), axis.ticks[i] - 1e-9);
    const auto record =
        std::min(static_cast<double>(at - steps.begin()), static_cast<double>(steps.size() - 1));
    const double place =
        (record + 0.5) * static_cast<double>(columns) / static_cast<double>(steps.size());
    const bool close = !out.empty() && place - out.back().first < static_cast<double>(columns) / 12;
    if (!close) out.emplace_back(place, axis.labels[i]);
  }
  return out;
}

size_t last_quarter(const ExpertLoads& loads) {
  return loads.steps.size() - std::max<size_t>(1, loads.steps.size() / 4);
}

}  // namespace

int heat_class(double load_over_mean) {
  if (load_over_mean <= 0) return kDead;
  const double distance = std::log2(load_over_mean);
  int steps = 0;
  while (steps < 5 && std::abs(distance) >= kBounds[static_cast<size_t>(steps)]) ++steps;
  return distance < 0 ? 5 - steps : 5 + steps;
}

std::string heat_legend() {
  std::string out =
      "<div class=\"scale\" role=\"img\" aria-label=\"Colours: far below the mean, the mean, far "
      "above the mean; black: no token at all\"><i class=\"h11\"></i><span>no token</span>";
  out += "<span class=\"gap\"></span><span>below 0.4</span>";
  for (int level = 0; level <= 10; ++level) out += fmt::format("<i class=\"h{}\"></i>", level);
  return out + "<span>above 2.6 times the mean</span></div>";
}

std::string to_html(const HeatMap& map) {
  const size_t columns = map.columns.size();
  const size_t rows = map.rows.size();
  std::string out = figure_head(map.id, map.title, map.unit);
  const size_t height = std::clamp<size_t>(22 * rows, 96, 352);
  out += "<div class=\"frame heat\">" + y_tick_labels(map);
  out += fmt::format(
      "<div class=\"plot\" style=\"min-height:{}px\" tabindex=\"0\" role=\"group\" "
      "data-heat=\"{}\" aria-label=\"{}: {} Arrow keys read values.\">"
      "<svg viewBox=\"0 0 {} {}\" preserveAspectRatio=\"none\" role=\"img\" aria-label=\"{}\">",
      height, map.id, escape(map.title), escape(map.summary), columns, rows, escape(map.summary));
  for (int level = 0; level <= kDead; ++level) {
    const std::string path = cells_of(map, level);
    if (!path.empty()) out += fmt::format("<path class=\"h{}\" d=\"{}\"/>", level, path);
  }
  out += cell_borders(columns, rows);
  out += "</svg></div>" + x_tick_labels(map) + "</div></figure>\n";
  return out;
}

HeatMap experts_by_steps(const ExpertLoads& loads, size_t layer, size_t columns) {
  const size_t records = loads.steps.size();
  columns = std::min(columns, records);
  HeatMap map;
  const int64_t number = loads.layers[layer].layer;
  map.title = fmt::format("Load of each expert, layer {}", number);
  map.unit = "over the mean";
  map.x_label = "steps";
  map.y_label = "expert";
  const auto experts = static_cast<size_t>(loads.layers[layer].experts);
  map.values.assign(experts, std::vector<double>(columns));
  double most = 0;
  for (size_t c = 0; c < columns; ++c) {
    const size_t begin = c * records / columns;
    const size_t end = (c + 1) * records / columns;
    const auto column = load_over_mean(loads, layer, begin, end);
    for (size_t e = 0; e < experts; ++e) map.values[e][c] = column[e];
    if (c + 1 == columns) most = *std::max_element(column.begin(), column.end());
    map.columns.push_back(
        loads.steps[begin] == loads.steps[end - 1]
            ? fmt::format("step {}", loads.steps[begin])
            : fmt::format("steps {} to {}", loads.steps[begin], loads.steps[end - 1]));
  }
  for (size_t e = 0; e < experts; ++e) {
    map.rows.push_back(fmt::format("expert {}", e));
    map.y_ticks.push_back(fmt::format("{}", e));
  }
  map.x_ticks = step_ticks(loads.steps, columns);
  map.summary = fmt::format(
      "{} experts over {} logged steps; at the end the busiest got {:.2f} "
      "times the mean.",
      experts, records, most);
  return map;
}

HeatMap layers_by_experts(const ExpertLoads& loads) {
  HeatMap map;
  const size_t begin = last_quarter(loads);
  map.title = "Load by layer and expert";
  map.unit =
      loads.steps[begin] == loads.steps.back()
          ? fmt::format("over the mean, step {}", loads.steps.back())
          : fmt::format("over the mean, steps {} to {}", loads.steps[begin], loads.steps.back());
  map.x_label = "expert";
  map.y_label = "layer";
  size_t experts = 0;
  for (const ExpertLayer& layer : loads.layers) {
    experts = std::max(experts, static_cast<size_t>(layer.experts));
  }
  for (size_t e = 0; e < experts; ++e) map.columns.push_back(fmt::format("expert {}", e));
  const size_t stride = (experts + 15) / 16;
  for (size_t e = 0; e < experts; e += stride) {
    map.x_ticks.emplace_back(static_cast<double>(e) + 0.5, fmt::format("{}", e));
  }
  double most = 0;
  int64_t where = 0;
  for (size_t i = 0; i < loads.layers.size(); ++i) {
    auto row = load_over_mean(loads, i, begin, loads.steps.size());
    const double busiest = *std::max_element(row.begin(), row.end());
    if (busiest > most) {
      most = busiest;
      where = loads.layers[i].layer;
    }
    row.resize(experts, std::numeric_limits<double>::quiet_NaN());
    map.values.push_back(std::move(row));
    map.rows.push_back(fmt::format("layer {}", loads.layers[i].layer));
    map.y_ticks.push_back(fmt::format("L{}", loads.layers[i].layer));
  }
  map.summary = fmt::format(
      "{} layers of up to {} experts; the busiest expert is in layer {} with "
      "{:.2f} times the mean.",
      loads.layers.size(), experts, where, most);
  return map;
}

size_t worst_layer(const ExpertLoads& loads) {
  size_t worst = 0;
  double most = -1;
  for (size_t i = 0; i < loads.layers.size(); ++i) {
    const auto row = load_over_mean(loads, i, last_quarter(loads), loads.steps.size());
    const double busiest = row.empty() ? 0 : *std::max_element(row.begin(), row.end());
    if (busiest > most) {
      most = busiest;
      worst = i;
    }
  }
  return worst;
}

}  // namespace troupe::report_page
