// One logged step: the fields of a row of metrics.jsonl, in the order of the file.
#pragma once

#include <cstdint>
#include <optional>

namespace troupe {

// Milliseconds of one step by what they were spent on, exclusive of each other.
struct PhaseMs {
  double forward = 0;
  double backward = 0;
  double dispatch = 0;
  double comm = 0;
  double optimizer = 0;
  double data = 0;
};

// Values without a meaning in a dense model (loads, drops, entropy, balance) are 0 there. A value
// that is not finite is written as null and read back as NaN.
struct StepMetrics {
  int64_t step = 0;                    // from 1
  int64_t tokens = 0;                  // trained on since step 1, over all ranks
  double loss = 0;                     // nats per token, without regularisers
  std::optional<double> val_loss;      // nats per token, only when evaluated at this step
  double lr = 0;                       // of this step
  double grad_norm = 0;                // global, before clipping
  double tokens_per_s = 0;             // all ranks, since the last row, without eval and saving
  double step_ms = 0;                  // mean step since the last row, without eval and saving
  double gemm_fraction = 0;            // model FLOPs per second over the GEMM rate; 0 = none yet
  double balance_loss = 0;             // sum of the balance terms but z, with coefficients
  double z_loss = 0;                   // with coefficient
  double load_max_over_mean = 0;       // busiest expert over the mean, worst layer; 1 = balanced
  double rank_load_max_over_mean = 0;  // rows of the busiest rank over the mean
  double dropped_fraction = 0;         // assignments that capacity dropped, 0 to 1
  int64_t dead_experts = 0;            // experts without a token in this step, over all layers
  double router_entropy = 0;           // mean over tokens and layers, nats
  int64_t mem_peak_bytes = 0;          // accounted, heaviest rank
  PhaseMs phase_ms;                    // mean step since the last row
};

}  // namespace troupe
