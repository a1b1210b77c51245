// Which of the processor's instructions kernels use: what it has, capped by the environment.
#pragma once

#include <cstdint>

namespace troupe::kernels::cpu {

// Rising; each has the instructions of those before it.
enum class InstructionSet : uint8_t { avx2, avx512, avx512_bf16, amx };
const char* name(InstructionSet set);

// The widest set in use in this process, for oneDNN, Highway and own code alike: that of the
// processor, but not above TROUPE_MAX_ISA (a name as above) or ONEDNN_MAX_CPU_ISA. Both are read
// once, before main. Throws Error(usage) if TROUPE_MAX_ISA names none.
InstructionSet instruction_set();

// Do the bf16 instructions in use multiply faster than those of f32? Not those of Intel's
// processors without AMX in use: VDPBF16PS does as many multiply-adds in a cycle there as f32's.
bool fast_bf16();

}  // namespace troupe::kernels::cpu
