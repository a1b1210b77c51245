// How the program starts: the setting of OpenMP that it needs (launch/job/spin_limit.h), and which
// instructions it uses (core/kernels/cpu/instruction_set.h).
#include <sched.h>

#include "tests/program/tiny_run.h"

namespace troupe::program {
namespace {

class Start : public TinyRun {
 protected:
  // What libgomp says of its settings, once for each time that the program is loaded.
  static std::string settings(std::vector<std::string> environment) {
    std::vector<std::string> line{
        "env", "-u", "GOMP_SPINCOUNT", "-u", "OMP_WAIT_POLICY", "OMP_DISPLAY_ENV=verbose"};
    line.insert(line.end(), environment.begin(), environment.end());
    for (const std::string& word : alone({"version"})) line.push_back(word);
    const Outcome outcome = run(line);
    EXPECT_EQ(outcome.code, 0) << outcome.err;
    return outcome.err;
  }
};

TEST_F(Start, ThreadsSpinShortly) {
  cpu_set_t cores;
  ASSERT_EQ(sched_getaffinity(0, sizeof(cores), &cores), 0);
  if (CPU_COUNT(&cores) > 16) GTEST_SKIP() << "left alone on large machines";
  EXPECT_EQ(occurrences(settings({}), "GOMP_SPINCOUNT = '3000'"), 1);
}

TEST_F(Start, WhatTheUserHasSetStays) {
  EXPECT_EQ(occurrences(settings({"GOMP_SPINCOUNT=77"}), "GOMP_SPINCOUNT = "), 1);
  EXPECT_EQ(occurrences(settings({"GOMP_SPINCOUNT=77"}), "GOMP_SPINCOUNT = '77'"), 1);
  EXPECT_EQ(occurrences(settings({"OMP_WAIT_POLICY=active"}), "GOMP_SPINCOUNT = "), 1);
}

// `troupe version` with these variables alone to cap the instructions.
Outcome version_with(const std::vector<std::string>& environment) {
  std::vector<std::string> line{
      "env", "-u", "ONEDNN_MAX_CPU_ISA", "-u", "DNNL_MAX_CPU_ISA", "-u", "TROUPE_MAX_ISA"};
  line.insert(line.end(), environment.begin(), environment.end());
  for (const std::string& word : alone({"version"})) line.push_back(word);
  return run(line);
}

TEST_F(Start, VariablesCapTheInstructions) {
  for (const std::vector<std::string>& narrow :
       std::vector<std::vector<std::string>>{{"TROUPE_MAX_ISA=avx2"},
                                             {"ONEDNN_MAX_CPU_ISA=AVX2"},
                                             {"ONEDNN_MAX_CPU_ISA=avx2", "TROUPE_MAX_ISA=amx"},
                                             {"DNNL_MAX_CPU_ISA=AVX2", "TROUPE_MAX_ISA=avx512"}}) {
    const Outcome outcome = version_with(narrow);
    EXPECT_EQ(outcome.code, 0) << outcome.err;
    EXPECT_EQ(occurrences(outcome.out, "wider; here avx2)"), 1) << outcome.out;
  }
  // What is no limit changes nothing.
  const std::string widest = version_with({}).out;
  EXPECT_EQ(occurrences(widest, "wider; here a"), 1) << widest;
  EXPECT_EQ(version_with({"TROUPE_MAX_ISA=amx"}).out, widest);
  EXPECT_EQ(version_with({"TROUPE_MAX_ISA="}).out, widest);
}

TEST_F(Start, UnknownInstructionsAreRefused) {
  const Outcome outcome = version_with({"TROUPE_MAX_ISA=AVX-2"});
  EXPECT_EQ(outcome.code, 2);
  EXPECT_EQ(occurrences(outcome.err,
                        "TROUPE_MAX_ISA=AVX-2: must be avx2, avx512, avx512_bf16 or "
                        "amx, or not set"),
            1)
      << outcome.err;
}

}  // namespace
}  // namespace troupe::program
