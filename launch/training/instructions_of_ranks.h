// Which instructions the ranks of a run use, whose processors may differ.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "core/device/device.h"
#include "core/kernels/cpu/instruction_set.h"
#include "parallel/comm/communicator.h"

namespace troupe {

// Those of every rank, in order, on every rank. Collective.
std::vector<kernels::cpu::InstructionSet> instructions_of_ranks(
    kernels::cpu::InstructionSet own, Communicator& world, const std::shared_ptr<Device>& device);

// "avx512_bf16", or "avx2 (ranks 2, 3), avx512_bf16 (ranks 0, 1)"; of many ranks the first ones and
// their number.
std::string describe(const std::vector<kernels::cpu::InstructionSet>& of_ranks);

}  // namespace troupe
