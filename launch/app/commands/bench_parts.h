// The benchmarks of `troupe bench` besides step and gemm; each prints its table or JSON object.
#pragma once

#include <vector>

#include "launch/app/command_line.h"
#include "launch/bench/routing_bench.h"

namespace troupe {

int bench_generate_command(const Arguments& arguments);
int bench_tokenizer_command(const Arguments& arguments);
int bench_checkpoint_command(const Arguments& arguments);
int bench_moe_nodes_command(const Arguments& arguments);

// A part of `bench step`: --routing all. A table, or one JSON object of an object a kind.
void print_routings(const std::vector<RoutingBench>& rows, bool json);

}  // namespace troupe
