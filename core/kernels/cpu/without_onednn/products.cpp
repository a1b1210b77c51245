#include "core/kernels/cpu/library_product.h"

namespace troupe::kernels::cpu {

bool has_library_products() { return false; }
std::unique_ptr<LibraryProducts> library_products(int /*threads*/) { return nullptr; }

// Own code has nothing for AMX.
InstructionSet instructions_of_processor() {
  const bool avx512 = __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
                      __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl");
  if (!avx512) return InstructionSet::avx2;
  return __builtin_cpu_supports("avx512bf16") ? InstructionSet::avx512_bf16
                                              : InstructionSet::avx512;
}

InstructionSet limit_of_library() { return InstructionSet::amx; }
void limit_library(InstructionSet /*widest*/) {}

}  // namespace troupe::kernels::cpu
