// What a reader wants to know first, in three sentences: did it learn, were the experts balanced,
// where did the time go.
#pragma once

#include <array>
#include <string>
#include <vector>

#include "launch/report/run_data.h"

namespace troupe::report_page {

// Needs at least one run with rows.
std::array<std::string, 3> verdict(const std::vector<RunData>& runs);

// Summary of a run: the last tenth of its rows stands for how it ended.
struct Summary {
  double first_loss = 0;
  double last_loss = 0;  // mean of the last tenth
  double best_val = 0;   // NaN if never evaluated
  int64_t best_val_step = 0;
  double last_val = 0;       // NaN if never evaluated
  double tokens_per_s = 0;   // median over all rows but the first
  double step_ms = 0;        // median over all rows but the first
  double gemm_fraction = 0;  // median
  double imbalance = 0;      // mean load_max_over_mean of the last tenth
  double dropped = 0;        // mean dropped_fraction of the last tenth
  int64_t dead_experts = 0;  // at the last row
  double time_s = 0;         // training time, without eval and saving
  int64_t mem_peak_bytes = 0;
  std::array<double, 7> phase_ms{};  // mean over rows; the seventh is the rest of the step
};
Summary summarise(const RunData& run);
const std::array<const char*, 7>& phase_names();
std::string step_time_text(double ms);  // "170.7 ms", "16.1 s"
std::string loss_text(double loss);     // "1.559", "970k", "not a number"
std::array<double, 7> phases_of(const StepMetrics& row);

}  // namespace troupe::report_page
