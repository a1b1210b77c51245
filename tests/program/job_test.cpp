// The helper sees what the other tests must see: without this they could not fail.
#include "tests/program/job.h"

#include <gtest/gtest.h>
#include <signal.h>

namespace troupe::program {
namespace {

using namespace std::chrono_literals;

TEST(JobHelper, SeesCodesAndText) {
  const Outcome outcome = run({"sh", "-c", "cat; echo said >&2; exit 5"}, "given");
  EXPECT_EQ(outcome.code, 5);
  EXPECT_EQ(outcome.out, "given");
  EXPECT_EQ(outcome.err, "said\n");
}

TEST(JobHelper, SeesFilesThatWereLeft) {
  Job job({"sh", "-c", "touch $TMPDIR/file; touch core"});
  EXPECT_EQ(job.wait().code, 0);
  EXPECT_EQ(job.left_overs().size(), 2U);
}

TEST(JobHelper, SeesAndEndsProcessesOfOtherGroups) {
  pid_t left = 0;
  {
    Job job({"sh", "-c", "setsid sleep 300 & exit 0"});
    EXPECT_EQ(job.wait().code, 0);
    EXPECT_FALSE(job.gone_within(300ms));
    ASSERT_EQ(job.processes().size(), 1U);
    left = job.processes()[0];
  }
  EXPECT_EQ(kill(left, 0), -1);
}

TEST(JobHelper, EndsWhatExpires) {
  Job job({"sh", "-c", "sleep 300"});
  const Outcome outcome = job.wait(1s);
  EXPECT_TRUE(outcome.expired);
  EXPECT_EQ(outcome.code, 137);
  EXPECT_TRUE(job.gone_within(5s));
}

}  // namespace
}  // namespace troupe::program
