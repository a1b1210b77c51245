#include "core/kernels/cpu/instruction_set.h"

#include <hwy/targets.h>

#include <algorithm>
#include <array>
#include <cctype>
#include <cstdlib>
#include <dnnl.hpp>
#include <exception>
#include <string>
#include <string_view>

#include "core/base/error.h"

namespace troupe::kernels::cpu {
namespace {

using Isa = dnnl::cpu_isa;

struct Kind {
  const char* name;
  Isa widest;  // of oneDNN's own list
};

constexpr std::array<Kind, 4> kKinds{{{"avx2", Isa::avx2},
                                      {"avx512", Isa::avx512_core_vnni},
                                      {"avx512_bf16", Isa::avx512_core_bf16},
                                      {"amx", Isa::avx512_core_amx}}};

InstructionSet named_limit() {
  const char* text = std::getenv("TROUPE_MAX_ISA");
  if (text == nullptr || *text == '\0') return InstructionSet::amx;
  for (size_t i = 0; i < kKinds.size(); ++i) {
    if (std::string_view(text) == kKinds[i].name) return static_cast<InstructionSet>(i);
  }
  fail(ExitCode::usage, "TROUPE_MAX_ISA={}: must be avx2, avx512, avx512_bf16 or amx, or not set",
       text);
}

// What oneDNN's own variable allows; a text that it does not know is no limit.
InstructionSet onednn_limit() {
  const char* given = std::getenv("ONEDNN_MAX_CPU_ISA");
  if (given == nullptr) given = std::getenv("DNNL_MAX_CPU_ISA");
  if (given == nullptr) return InstructionSet::amx;
  std::string text = given;
  std::transform(text.begin(), text.end(), text.begin(),
                 [](unsigned char letter) { return static_cast<char>(std::toupper(letter)); });
  for (const char* narrow :
       {"SSE41", "AVX", "AVX2", "AVX2_VNNI", "AVX512_MIC", "AVX512_MIC_4OPS"}) {
    if (text == narrow) return InstructionSet::avx2;
  }
  if (text == "AVX512_CORE" || text == "AVX512_CORE_VNNI") return InstructionSet::avx512;
  return text == "AVX512_CORE_BF16" ? InstructionSet::avx512_bf16 : InstructionSet::amx;
}

InstructionSet of_onednn() {
  switch (dnnl::get_effective_cpu_isa()) {
    case Isa::avx512_core:
    case Isa::avx512_core_vnni:
      return InstructionSet::avx512;
    case Isa::avx512_core_bf16:
      return InstructionSet::avx512_bf16;
    case Isa::avx512_core_amx:
    case Isa::all:
      return InstructionSet::amx;
    default:
      return InstructionSet::avx2;
  }
}

// Tells the libraries what they may use, which they take only before their first use.
InstructionSet choose() {
  const InstructionSet named = named_limit();
  if (named < onednn_limit()) {
    const auto status = dnnl::set_max_cpu_isa(kKinds[static_cast<size_t>(named)].widest);
    require(status == dnnl::status::success, "oneDNN was used before its instructions were chosen");
  }
  const InstructionSet set = of_onednn();
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

const char* name(InstructionSet set) { return kKinds[static_cast<size_t>(set)].name; }

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
