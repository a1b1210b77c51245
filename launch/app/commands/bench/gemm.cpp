// troupe bench gemm: what the machine does at most, and whether it was busy meanwhile.
#include <fmt/core.h>

#include <nlohmann/json.hpp>

#include "core/kernels/cpu/instruction_set.h"
#include "core/text/json_text.h"
#include "launch/app/commands/bench/parts.h"
#include "launch/app/output.h"
#include "launch/training/machine_rate.h"
#include "launch/training/rank_runtime.h"

namespace troupe {

std::string shape_text(const kernels::cpu::GemmSize& size) {
  return fmt::format("{}x{}x{}", size.m, size.n, size.k);
}

void print_load(const MachineLoad& load) {
  const std::string reasons = load.reasons();
  if (reasons.empty()) {
    output::print("machine           quiet\n");
  } else {
    output::print("machine           busy: {}; figures may be too low\n", reasons);
  }
}

nlohmann::ordered_json load_json(const MachineLoad& load) {
  return {{"busy", !load.reasons().empty()},
          {"involuntary_switches_per_s", load.switches_per_s},
          {"waiting_fraction", load.waiting},
          {"steal_fraction", load.steal}};
}

int bench_gemm_command(const Arguments& arguments) {
  RankRuntime runtime;
  runtime.configure({});
  const LoadWatch watch(runtime.threads());
  const std::string instructions = kernels::cpu::name(kernels::cpu::instruction_set());
  nlohmann::ordered_json out{{"instructions", instructions}};
  double least_of_peak = 1;
  const bool text = runtime.leader() && !arguments.flag("json");
  for (const DType dtype : {DType::f64, DType::f32, DType::bf16}) {
    const auto rates = [&] {
      return measure_rates(dtype, kernels::cpu::gemm_sizes(), *runtime.world(), runtime.device());
    };
    const MachineRates first = rates();
    const MachineRates best = best_of(first, rates());
    const double of_peak = best.gemm / best.fma_peak;
    least_of_peak = std::min(least_of_peak, of_peak);
    out[name(dtype)] = {{"flops_per_second", best.gemm},
                        {"shape", shape_text(best.shape)},
                        {"fma_peak", best.fma_peak},
                        {"of_peak", of_peak}};
    if (text) {
      output::print(
          "{:5} {:8.1f} GFLOP/s at {}, {:.2f} of the {:.1f} of multiply-adds on registers, "
          "{} thread{}, {}\n",
          name(dtype), best.gemm / 1e9, shape_text(best.shape), of_peak, best.fma_peak / 1e9,
          runtime.size() * runtime.threads(), runtime.size() * runtime.threads() == 1 ? "" : "s",
          instructions);
      output::flush();  // the next one takes a while
    }
  }
  MachineLoad load = watch.since(*runtime.world(), runtime.device());
  load.gemm_of_peak = least_of_peak;
  if (text) print_load(load);
  if (runtime.leader() && !text) {
    out["machine"] = load_json(load);
    output::print("{}\n", json_text(out));
  }
  return 0;
}

}  // namespace troupe
