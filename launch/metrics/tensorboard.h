// TensorBoard event files: DIR/events.out.tfevents.SECONDS.HOST.PID.N, scalars of every metric.
#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "launch/metrics/log_file.h"
#include "launch/metrics/step_metrics.h"

namespace troupe {

namespace tensorboard {

// One framed record: length, masked CRC of the length, data, masked CRC of the data.
std::string record(std::string_view data);
// Serialised Event messages.
std::string version_event(double wall_time);
// Readers drop the points of earlier files from `step` on.
std::string start_event(double wall_time, int64_t step);
std::string scalars_event(double wall_time, int64_t step,
                          const std::vector<std::pair<std::string, double>>& scalars);
// Tag and value of each metric of a row: "loss/train", "loss/val", "moe/...", "time/...", ...
std::vector<std::pair<std::string, double>> scalars_of(const StepMetrics& metrics);

}  // namespace tensorboard

class TensorboardFile {
 public:
  // A new file each start. Points after resume_step of earlier files are purged by a START record.
  // Trouble with the disk never throws: see dropped().
  TensorboardFile(const std::filesystem::path& run_dir, int64_t resume_step);
  void append(const StepMetrics& metrics);
  void append_val_loss(int64_t step, double val_loss);
  int64_t dropped() const { return file_->dropped(); }
  const std::filesystem::path& path() const { return file_->path(); }

 private:
  std::unique_ptr<LogFile> file_;
};

}  // namespace troupe
