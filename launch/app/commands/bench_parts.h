// The benchmarks of `troupe bench` besides step and gemm; each prints its table or JSON object.
#pragma once

#include "launch/app/command_line.h"

namespace troupe {

int bench_generate_command(const Arguments& arguments);
int bench_tokenizer_command(const Arguments& arguments);
int bench_checkpoint_command(const Arguments& arguments);
int bench_moe_nodes_command(const Arguments& arguments);

}  // namespace troupe
