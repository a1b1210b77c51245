// Heat maps of expert load relative to the mean: a diverging scale around 1.
#pragma once

#include <string>
#include <vector>

#include "launch/report/run_data.h"

namespace troupe::report_page {

struct HeatMap {
  std::string id;  // unique on the page
  std::string title;
  std::string unit;
  std::string x_label;
  std::string y_label;
  std::vector<std::string> columns;         // what each column is, for hover
  std::vector<std::string> rows;            // what each row is, top to bottom
  std::vector<std::vector<double>> values;  // [row][column], load over mean; NaN: no such cell
  std::vector<std::pair<double, std::string>> x_ticks;  // place in columns, label
  std::vector<std::string> y_ticks;                     // short labels of the rows
  std::string summary;                                  // one sentence for screen readers
};

std::string to_html(const HeatMap& map);
// The scale of all heat maps, with its words.
std::string heat_legend();

// Class of a load over the mean: 0 (far below) .. 5 (as the mean) .. 10 (far above), 11 no token.
int heat_class(double load_over_mean);

// Experts by steps of one MoE layer (position in loads.layers). Steps are put together until at
// most `columns` are left: counts are summed before they are divided by their mean.
HeatMap experts_by_steps(const ExpertLoads& loads, size_t layer, size_t columns);
// Layers by experts over the last quarter of the logged steps.
HeatMap layers_by_experts(const ExpertLoads& loads);
// Position in loads.layers of the layer whose busiest expert is furthest above the mean there.
size_t worst_layer(const ExpertLoads& loads);

}  // namespace troupe::report_page
