#include "core/kernels/cpu/instruction_set.h"

#include <gtest/gtest.h>
#include <hwy/targets.h>

#include <cstdlib>
#include <fstream>
#include <iterator>
#include <string>

#include "core/kernels/cpu/attention_block.h"
#include "core/kernels/cpu/product.h"

namespace troupe::kernels::cpu {
namespace {

// Oracle: the compiler's own look at the processor.
TEST(InstructionSet, IsWhatTheProcessorHasUnlessCapped) {
  const char* variables[] = {"TROUPE_MAX_ISA", "ONEDNN_MAX_CPU_ISA", "DNNL_MAX_CPU_ISA"};
  for (const char* variable : variables) {
    if (std::getenv(variable) != nullptr) GTEST_SKIP() << variable << " is set";
  }
  EXPECT_EQ(instruction_set() >= InstructionSet::avx512, __builtin_cpu_supports("avx512bw") &&
                                                             __builtin_cpu_supports("avx512dq") &&
                                                             __builtin_cpu_supports("avx512vl"));
  EXPECT_EQ(instruction_set() >= InstructionSet::avx512_bf16,
            __builtin_cpu_supports("avx512bf16") != 0);
}

TEST(InstructionSet, AllKernelsUseTheSame) {
  const bool bf16 = instruction_set() >= InstructionSet::avx512_bf16;
  EXPECT_EQ(hardware_bf16(), bf16);
  EXPECT_EQ(has_bf16_dot(), bf16);
  const bool wide = (hwy::SupportedTargets() & (HWY_AVX3 | HWY_AVX3_DL)) != 0;
  EXPECT_EQ(wide, instruction_set() >= InstructionSet::avx512);
  const char* limit = std::getenv("TROUPE_MAX_ISA");
  for (const InstructionSet set : {InstructionSet::avx2, InstructionSet::avx512,
                                   InstructionSet::avx512_bf16, InstructionSet::amx}) {
    if (limit != nullptr && std::string(limit) == name(set)) {
      EXPECT_LE(instruction_set(), set);
    }
  }
}

// Oracle: the name of the maker that the system tells.
TEST(InstructionSet, Bf16IsFastWithTilesAndOnAvx512OfOthersThanIntel) {
  const InstructionSet set = instruction_set();
  std::ifstream file("/proc/cpuinfo");
  const std::string text((std::istreambuf_iterator<char>(file)), std::istreambuf_iterator<char>());
  const bool intel = text.find("GenuineIntel") != std::string::npos;
  EXPECT_EQ(fast_bf16(),
            set == InstructionSet::amx || (set == InstructionSet::avx512_bf16 && !intel));
  EXPECT_EQ(own_products(DType::bf16), !fast_bf16());
}

}  // namespace
}  // namespace troupe::kernels::cpu
