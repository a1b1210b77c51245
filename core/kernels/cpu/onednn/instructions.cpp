#include <algorithm>
#include <array>
#include <cctype>
#include <cstdlib>
#include <dnnl.hpp>
#include <string>

#include "core/base/error.h"
#include "core/kernels/cpu/library_product.h"

namespace troupe::kernels::cpu {
namespace {

using Isa = dnnl::cpu_isa;

// By InstructionSet, from oneDNN's own list.
constexpr std::array<Isa, 4> kWidest{Isa::avx2, Isa::avx512_core_vnni, Isa::avx512_core_bf16,
                                     Isa::avx512_core_amx};

}  // namespace

InstructionSet instructions_of_processor() {
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

// A text that oneDNN does not know is no limit.
InstructionSet limit_of_library() {
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

void limit_library(InstructionSet widest) {
  const auto status = dnnl::set_max_cpu_isa(kWidest[static_cast<size_t>(widest)]);
  require(status == dnnl::status::success, "oneDNN was used before its instructions were chosen");
}

}  // namespace troupe::kernels::cpu
