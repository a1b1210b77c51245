// How the program starts: the setting of OpenMP that it needs (launch/job/spin_limit.h).
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
  EXPECT_EQ(occurrences(settings({}), "GOMP_SPINCOUNT = '2000'"), 1);
}

TEST_F(Start, WhatTheUserHasSetStays) {
  EXPECT_EQ(occurrences(settings({"GOMP_SPINCOUNT=77"}), "GOMP_SPINCOUNT = "), 1);
  EXPECT_EQ(occurrences(settings({"GOMP_SPINCOUNT=77"}), "GOMP_SPINCOUNT = '77'"), 1);
  EXPECT_EQ(occurrences(settings({"OMP_WAIT_POLICY=active"}), "GOMP_SPINCOUNT = "), 1);
}

}  // namespace
}  // namespace troupe::program
