#include "launch/metrics/run_log.h"

#include <utility>

namespace troupe {

RunLog::RunLog(const std::filesystem::path& run_dir, int64_t resume_step,
               std::vector<ExpertLayer> layers, bool tensorboard)
    : metrics_(run_dir, resume_step), experts_(run_dir, std::move(layers), resume_step) {
  if (tensorboard) tensorboard_.emplace(run_dir, resume_step);
}

void RunLog::append(const StepMetrics& metrics, std::span<const int64_t> counts) {
  metrics_.append(metrics);
  experts_.append(metrics.step, counts);
  if (tensorboard_) tensorboard_->append(metrics);
}

void RunLog::add_val_loss(double val_loss) {
  metrics_.add_val_loss(val_loss);
  if (tensorboard_) tensorboard_->append_val_loss(metrics_.newest()->step, val_loss);
}

int64_t RunLog::dropped() const {
  return metrics_.dropped() + experts_.dropped() + (tensorboard_ ? tensorboard_->dropped() : 0);
}

}  // namespace troupe
