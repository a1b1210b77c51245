// Collects what lies between two rows of metrics.jsonl and makes the row, over all ranks.
#pragma once

#include <chrono>

#include "launch/metrics/step_metrics.h"
#include "models/engine/training_engine.h"

namespace troupe {

class RowTotals {
 public:
  // flops_per_step, tokens_per_step: of the whole batch.
  RowTotals(double flops_per_step, int64_t tokens_per_step)
      : flops_per_step_(flops_per_step), tokens_per_step_(tokens_per_step) {}
  // FLOPs per second of all ranks together; 0 = unknown.
  void set_gemm_rate(double rate) { gemm_rate_ = rate; }
  double gemm_rate() const { return gemm_rate_; }

  // After each step, with the time it took.
  void add_step(std::chrono::steady_clock::duration spent) {
    spent_ += spent;
    ++steps_;
  }
  // The row after `step` steps (from 1); starts the next one. Collective: gathers peaks and rows of
  // all ranks.
  StepMetrics take(int64_t step, const StepResult& result, TrainingEngine& engine, Device& device);

 private:
  double flops_per_step_;
  int64_t tokens_per_step_;
  double gemm_rate_ = 0;
  std::chrono::steady_clock::duration spent_{};
  int64_t steps_ = 0;
};

}  // namespace troupe
