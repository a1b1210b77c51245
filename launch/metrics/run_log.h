// All that a run writes while it trains, in one call a logged step: metrics.jsonl, experts.bin and
// TensorBoard events. Made on the leader rank only.
#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <span>
#include <vector>

#include "launch/metrics/expert_file.h"
#include "launch/metrics/metrics_file.h"
#include "launch/metrics/tensorboard.h"

namespace troupe {

class RunLog {
 public:
  // run_dir must exist. resume_step: the step of the checkpoint gone on from, 0 for a fresh start.
  RunLog(const std::filesystem::path& run_dir, int64_t resume_step, std::vector<ExpertLayer> layers,
         bool tensorboard);
  // counts: tokens by expert of this step before drops, layer after layer; empty if dense.
  void append(const StepMetrics& metrics, std::span<const int64_t> counts = {});
  // To the row gone on from, which must lack it.
  void add_val_loss(double val_loss);
  // Records lost to disk trouble so far.
  int64_t dropped() const;

 private:
  MetricsFile metrics_;
  ExpertFile experts_;
  std::optional<TensorboardFile> tensorboard_;
};

}  // namespace troupe
