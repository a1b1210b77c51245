// Jobs in which a rank fails: what mpirun returns, what is said, and that nothing is left behind.
#include <gtest/gtest.h>
#include <sys/wait.h>

#include <array>
#include <chrono>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <string>

namespace {

struct Outcome {
  int code = -1;
  double seconds = 0;
  std::string text;
};

Outcome run(const std::string& scenario, int ranks) {
  const std::string command = "timeout 60 " TROUPE_MPIEXEC " --oversubscribe --bind-to none -n " +
                              std::to_string(ranks) + " " TROUPE_FAULT_PROGRAM " " + scenario +
                              " 2>&1";
  Outcome outcome;
  const auto started = std::chrono::steady_clock::now();
  FILE* pipe = popen(command.c_str(), "r");
  std::array<char, 4096> buffer{};
  while (const size_t count = fread(buffer.data(), 1, buffer.size(), pipe)) {
    outcome.text.append(buffer.data(), count);
  }
  const int status = pclose(pipe);
  outcome.code = WIFEXITED(status) ? WEXITSTATUS(status) : -1;
  outcome.seconds =
      std::chrono::duration<double>(std::chrono::steady_clock::now() - started).count();
  return outcome;
}

// Processes of the fault program that still run (zombies have no command line).
int survivors() {
  int count = 0;
  for (const auto& entry : std::filesystem::directory_iterator("/proc")) {
    std::ifstream file(entry.path() / "cmdline");
    std::string line;
    std::getline(file, line, '\0');
    if (line == TROUPE_FAULT_PROGRAM) ++count;
  }
  return count;
}

int shared_segments() {
  int count = 0;
  for (const auto& entry : std::filesystem::directory_iterator("/dev/shm")) {
    if (entry.path().filename().string().find("vader_segment") == 0) ++count;
  }
  return count;
}

void expect(const Outcome& outcome, int code, double seconds, const std::string& said) {
  EXPECT_EQ(outcome.code, code) << outcome.text;
  EXPECT_LT(outcome.seconds, seconds) << outcome.text;
  EXPECT_NE(outcome.text.find(said), std::string::npos) << outcome.text;
  EXPECT_EQ(survivors(), 0);
}

TEST(MpiFaults, ACleanJobLeavesNothing) {
  const int before = shared_segments();
  expect(run("clean", 3), 0, 30, "");
  EXPECT_LE(shared_segments(), before);
}

TEST(MpiFaults, AnErrorOnOneRankEndsTheJobWithItsCode) {
  expect(run("throw", 3), 3, 30, "token 300 of 256");
}

TEST(MpiFaults, AStoppedRankIsNamedAndTheJobEnds) {
  expect(run("stop", 3), 7, 30, "no answer from rank 2 within 2 s: all_reduce \"gradients\"");
}

TEST(MpiFaults, ASilentRankIsNamedAndTheJobEnds) {
  expect(run("silent", 2), 7, 30, "no answer from rank 1 within 2 s: all_reduce \"gradients\"");
}

TEST(MpiFaults, AKilledRankEndsTheJob) { expect(run("kill", 3), 137, 30, ""); }

TEST(MpiFaults, DifferentOperationsEndTheJob) {
  const Outcome outcome = run("differ", 2);
  EXPECT_EQ(outcome.code, 1) << outcome.text;
  EXPECT_NE(outcome.text.find("operations of the ranks differ"), std::string::npos) << outcome.text;
  EXPECT_EQ(survivors(), 0);
}

}  // namespace
