// What the report knows of a run, thinned to what a page can show.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

#include "launch/metrics/expert_file.h"
#include "launch/metrics/step_metrics.h"

namespace troupe::report_page {

struct RunData {
  std::string name;  // the directory's name, made unique among the runs
  std::string dir;
  std::vector<StepMetrics> all;   // every row of metrics.jsonl
  std::vector<StepMetrics> rows;  // those that the page shows
  std::vector<double> time_s;     // of rows: training time until then, without eval and saving
  std::vector<double> loss_mean;  // of rows: mean loss of the rows around it
  ExpertLoads loads;
  std::string config;  // config.resolved.yaml, empty if missing

  bool is_moe() const;
};

// Rows shown for a run: at most about `budget`. Kept: the first, the last, evaluated ones, and of
// each stretch the extremes of loss and gradient norm, so that spikes stay visible.
std::vector<size_t> thinned(const std::vector<StepMetrics>& rows, size_t budget);

std::vector<RunData> load_runs(const std::vector<std::filesystem::path>& run_dirs);

}  // namespace troupe::report_page
