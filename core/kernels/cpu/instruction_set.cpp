#include "core/kernels/cpu/instruction_set.h"

#include <hwy/targets.h>

#include <algorithm>
#include <array>
#include <cstdlib>
#include <exception>
#include <string_view>

#include "core/base/error.h"
#include "core/kernels/cpu/library_product.h"

namespace troupe::kernels::cpu {
namespace {

constexpr std::array<const char*, 4> kNames{"avx2", "avx512", "avx512_bf16", "amx"};

InstructionSet named_limit() {
  const char* text = std::getenv("TROUPE_MAX_ISA");
  if (text == nullptr || *text == '\0') return InstructionSet::amx;
  for (size_t i = 0; i < kNames.size(); ++i) {
    if (std::string_view(text) == kNames[i]) return static_cast<InstructionSet>(i);
  }
  fail(ExitCode::usage, "TROUPE_MAX_ISA={}: must be avx2, avx512, avx512_bf16 or amx, or not set",
       text);
}

InstructionSet choose() {
  const InstructionSet named = named_limit();
  if (named < limit_of_library()) limit_library(named);
  const InstructionSet set = std::min(named, instructions_of_processor());
  if (set == InstructionSet::avx2) hwy::DisableTargets(HWY_AVX3 | HWY_AVX3_DL);
  return set;
}

// Kernels by Highway ask nobody before they run: the choice is made before main, and a wrong
// variable is left to who asks first.
__attribute__((constructor)) void choose_early() {
  try {
    instruction_set();
  } catch (const std::exception&) {
  }
}

}  // namespace

const char* name(InstructionSet set) { return kNames[static_cast<size_t>(set)]; }

InstructionSet instruction_set() {
  static const InstructionSet set = choose();
  return set;
}

bool fast_bf16() {
  if (instruction_set() != InstructionSet::avx512_bf16) {
    return instruction_set() == InstructionSet::amx;
  }
  return !__builtin_cpu_is("intel");
}

}  // namespace troupe::kernels::cpu
