// The benchmarks of `troupe bench` besides step; each prints its table or JSON object.
#pragma once

#include <nlohmann/json_fwd.hpp>
#include <string>
#include <vector>

#include "core/kernels/cpu/gemm_rate.h"
#include "launch/app/command_line.h"
#include "launch/bench/machine_load.h"
#include "launch/bench/routing_bench.h"
#include "launch/bench/step_profile.h"

namespace troupe {

int bench_gemm_command(const Arguments& arguments);
int bench_generate_command(const Arguments& arguments);
int bench_tokenizer_command(const Arguments& arguments);
int bench_checkpoint_command(const Arguments& arguments);
int bench_moe_nodes_command(const Arguments& arguments);

// A part of `bench step`: --routing all. A table, or one JSON object of an object a kind.
void print_routings(const std::vector<RoutingBench>& rows, bool json);

// "2048x512x1024": m x n x k.
std::string shape_text(const kernels::cpu::GemmSize& size);
// Was the machine busy? One line, or the member "machine" of the JSON object.
void print_load(const MachineLoad& load);
nlohmann::ordered_json load_json(const MachineLoad& load);

// Another: --profile. The table has the ten costliest operators, the object all of them.
void print_profile(const StepProfile& profile, int ranks, const std::string& trace);
nlohmann::ordered_json profile_json(const StepProfile& profile, const std::string& trace);

}  // namespace troupe
