// DIR/metrics.jsonl: one JSON object a logged step, numbers that round-trip, flushed line by line.
#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "launch/metrics/log_file.h"
#include "launch/metrics/step_metrics.h"

namespace troupe {

// One line without its line end.
std::string to_json_line(const StepMetrics& metrics);
// Returns false when `line` is not a whole row (a torn last line).
bool parse_json_line(const std::string& line, StepMetrics& metrics);

// Rows in the order of the steps, one a step (the last one written wins); lines that are no rows
// are skipped. A missing file gives no rows.
std::vector<StepMetrics> read_metrics(const std::filesystem::path& run_dir);
// There is a row of this step, without val_loss.
bool lacks_val_loss(const std::filesystem::path& run_dir, int64_t step);

class MetricsFile {
 public:
  // resume_step: the step of the checkpoint that the run goes on from, 0 for a fresh start. Rows
  // after it are cut by a crash-safe rewrite. Trouble with the disk never throws: see dropped().
  MetricsFile(const std::filesystem::path& run_dir, int64_t resume_step);
  // Rows must come with growing steps; a step that is not beyond the last row is refused (a bug).
  void append(const StepMetrics& metrics);
  // The newest row, also one of an earlier start; none in a fresh run.
  const std::optional<StepMetrics>& newest() const { return newest_; }
  // To the newest row, which must have none, by a crash-safe rewrite.
  void add_val_loss(double val_loss);
  // Rows that could not be written (full disk, directory gone). Warned about once.
  int64_t dropped() const { return file_->dropped(); }

 private:
  std::unique_ptr<LogFile> file_;
  std::optional<StepMetrics> newest_;
};

}  // namespace troupe
