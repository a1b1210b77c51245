#include "launch/bench/step_bench.h"

#include <algorithm>
#include <chrono>

#include "launch/bench/drawn_steps.h"
#include "launch/bench/made_up_routing.h"
#include "launch/bench/median.h"
#include "launch/training/row_totals.h"
#include "models/families/lookup/configured_model.h"
#include "moe/routers/table.h"

namespace troupe {
namespace {

// Means over the timed steps.
void add(const PipelineReport& step, double weight, PipelineReport& sum) {
  sum.bubble += weight * step.bubble;
  sum.simulated += weight * step.simulated;
  sum.imbalance += weight * step.imbalance;
  sum.seconds += weight * step.seconds;
  sum.simulated_seconds += weight * step.simulated_seconds;
  sum.formula = step.formula;
}

// The shapes of the model's own products.
std::vector<kernels::cpu::GemmSize> model_shapes(const RunConfig& config) {
  const ModelConfig& model = config.model;
  const int64_t tokens = config.train.micro_batch * model.seq_len;
  std::vector<kernels::cpu::GemmSize> shapes{{tokens, model.heads * model.head_dim, model.dim},
                                             {tokens, model.vocab, model.dim}};
  for (const auto& moe : model.moe) {
    if (moe) {
      const int64_t choices =
          std::max<int64_t>(router_named(moe->router).choices(moe->router_options), 1);
      const int64_t rows = std::max<int64_t>(tokens * choices / moe->experts, 1);
      shapes.push_back({rows, 2 * moe->ffn_dim, model.dim});
      break;
    }
  }
  return shapes;
}

}  // namespace

StepBench time_steps(const RunConfig& config, RankRuntime& runtime, int64_t warmup, int64_t steps) {
  DrawnSteps run(config, runtime.world(), runtime.device(), warmup + steps);
  TrainingEngine& engine = run.engine();
  const auto fresh_totals = [&] {
    return RowTotals(training_flops(config.model, config.train.global_batch),
                     config.train.global_batch * config.model.seq_len);
  };
  RowTotals totals = fresh_totals();
  const auto routing = made_up_routing(config, config.bench.routing, engine);
  StepBench out;
  out.steps = steps;
  out.pipeline.imbalance = 0;
  std::vector<double> times;
  int64_t allocations = 0;
  StepMetrics row;
  for (int64_t step = 0; step < warmup + steps; ++step) {
    if (step == warmup) {
      engine.clock().reset();
      totals = fresh_totals();
    }
    if (step == 10) allocations = runtime.device()->memory().system_allocations;
    const DrawnSteps::Timed timed = run.take(routing);
    if (step >= warmup) {
      times.push_back(std::chrono::duration<double, std::milli>(timed.spent).count());
      totals.add_step(timed.spent);
      add(timed.result.pipeline, 1.0 / static_cast<double>(steps), out.pipeline);
    }
    if (step + 1 == warmup + steps) {
      row = totals.take(step + 1, timed.result, engine, *runtime.device());
    }
  }
  if (warmup + steps > 10)
    out.late_allocations = runtime.device()->memory().system_allocations - allocations;
  out.step_ms = median(times);
  out.step_ms_min = *std::min_element(times.begin(), times.end());
  out.step_ms_max = *std::max_element(times.begin(), times.end());
  out.mem_peak_bytes = row.mem_peak_bytes;
  out.dispatch_ms = row.phase_ms.dispatch;
  out.comm_ms = row.phase_ms.comm;
  out.optimizer_ms = row.phase_ms.optimizer;
  out.rank_load_max_over_mean = row.rank_load_max_over_mean;
  out.tokens_per_s =
      static_cast<double>(config.train.global_batch * config.model.seq_len) / (out.step_ms / 1e3);
  return out;
}

StepBench bench_step(const RunConfig& config, RankRuntime& runtime, int64_t warmup, int64_t steps) {
  const LoadWatch watch(runtime.threads());
  const auto rates = [&] {
    return measure_rates(config.model.compute, kernels::cpu::gemm_sizes(model_shapes(config)),
                         *runtime.world(), runtime.device());
  };
  const MachineRates before = rates();
  StepBench out = time_steps(config, runtime, warmup, steps);
  out.rates = best_of(before, rates());
  const double flops_per_second =
      training_flops(config.model, config.train.global_batch) / (out.step_ms / 1e3);
  out.peak_fraction = flops_per_second / out.rates.fma_peak;
  out.gemm_fraction = flops_per_second / out.rates.gemm;
  out.load = watch.since(*runtime.world(), runtime.device());
  out.load.gemm_of_peak = out.rates.gemm / out.rates.fma_peak;
  return out;
}

}  // namespace troupe
