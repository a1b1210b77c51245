// Times whole training steps beside what the machine can do at most.
#pragma once

#include <cstdint>
#include <string>

#include "launch/bench/machine_load.h"
#include "launch/config/run_config.h"
#include "launch/training/machine_rate.h"
#include "launch/training/rank_runtime.h"
#include "models/engine/training_engine.h"

namespace troupe {

struct StepBench {
  int64_t steps = 0;   // timed
  double step_ms = 0;  // median
  double step_ms_min = 0;
  double step_ms_max = 0;
  double tokens_per_s = 0;   // all ranks, at the median
  MachineRates rates;        // the better ones of before and after the steps
  double peak_fraction = 0;  // model FLOPs per second over rates.fma_peak
  double gemm_fraction = 0;  // over rates.gemm
  MachineLoad load;
  int64_t mem_peak_bytes = 0;  // heaviest rank
  double dispatch_ms = 0;      // router, dispatch and combine, per step
  double comm_ms = 0;
  double optimizer_ms = 0;
  double rank_load_max_over_mean = 0;
  PipelineReport pipeline;       // means over the steps
  int64_t late_allocations = 0;  // times the system was asked for memory after the tenth step
};

// Tokens are drawn anew for each step; bench.routing says whether the router decides or a made-up
// assignment is replayed. warmup steps come first. Collective. The first without rates and load.
StepBench time_steps(const RunConfig& config, RankRuntime& runtime, int64_t warmup, int64_t steps);
StepBench bench_step(const RunConfig& config, RankRuntime& runtime, int64_t warmup, int64_t steps);

}  // namespace troupe
