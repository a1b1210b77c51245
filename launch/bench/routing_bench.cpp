#include "launch/bench/routing_bench.h"

#include <algorithm>
#include <chrono>

#include "core/base/error.h"
#include "launch/bench/drawn_steps.h"
#include "launch/bench/made_up_routing.h"
#include "launch/bench/median.h"
#include "launch/training/row_totals.h"
#include "models/families/lookup/configured_model.h"

namespace troupe {
namespace {

// One kind of routing, over the rounds.
struct Kind {
  std::string name;
  std::vector<std::vector<SparseAssignment>> assignments;
  std::vector<double> times{};  // ms
  StepMetrics last{};
};

}  // namespace

std::vector<RoutingBench> bench_routings(const RunConfig& config, RankRuntime& runtime,
                                         int64_t warmup, int64_t steps) {
  if (std::none_of(config.model.moe.begin(), config.model.moe.end(),
                   [](const auto& moe) { return moe.has_value(); })) {
    fail(ExitCode::usage, "bench step --routing all: the model has no experts to route to");
  }
  const int64_t tokens = config.train.global_batch * config.model.seq_len;
  std::vector<std::string> names{"balanced", "natural", "zipf"};
  DrawnSteps run(config, runtime.world(), runtime.device(),
                 (warmup + steps) * static_cast<int64_t>(names.size()));
  std::vector<Kind> kinds;
  for (const std::string& name : names) {
    kinds.push_back({name, made_up_routing(config, name, run.engine())});
  }
  RowTotals totals(training_flops(config.model, config.train.global_batch), tokens);
  for (int64_t round = 0; round < warmup + steps; ++round) {
    for (size_t place = 0; place < kinds.size(); ++place) {
      Kind& kind = kinds[round % 2 == 0 ? place : kinds.size() - 1 - place];
      const DrawnSteps::Timed timed = run.take(kind.assignments);
      if (round < warmup) continue;
      kind.times.push_back(std::chrono::duration<double, std::milli>(timed.spent).count());
      if (round + 1 < warmup + steps) continue;
      kind.last = totals.take(run.taken(), timed.result, run.engine(), *runtime.device());
    }
  }
  std::vector<RoutingBench> out;
  for (const Kind& kind : kinds) {
    std::vector<double> ratios;
    for (size_t i = 0; i < kind.times.size(); ++i) {
      ratios.push_back(kind.times[i] / kinds.front().times[i]);
    }
    RoutingBench row;
    row.routing = kind.name;
    row.step_ms = median(kind.times);
    row.step_ms_min = *std::min_element(kind.times.begin(), kind.times.end());
    row.step_ms_max = *std::max_element(kind.times.begin(), kind.times.end());
    row.tokens_per_s = static_cast<double>(tokens) / (row.step_ms / 1e3);
    row.of_balanced = median(ratios);
    row.expert_load_max_over_mean = kind.last.load_max_over_mean;
    row.rank_load_max_over_mean = kind.last.rank_load_max_over_mean;
    out.push_back(row);
  }
  return out;
}

}  // namespace troupe
