// The supervisor of `troupe launch`, with shells in the place of mpirun.
#include <fcntl.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <thread>

#include "launch/job/mpirun.h"
#include "launch/job/private_directory.h"
#include "launch/job/stop_request.h"

namespace troupe {
namespace {

namespace fs = std::filesystem;
using namespace std::chrono_literals;

class Supervise : public ::testing::Test {
 protected:
  Supervise() : folder_("/tmp") {}
  std::string file(const std::string& name) const { return folder_.path() + "/" + name; }

  // Runs the supervisor in a process of its own, as the program does.
  pid_t start(const std::string& script) const {
    const pid_t child = fork();
    if (child != 0) return child;
    const int null = open("/dev/null", O_WRONLY);
    dup2(null, STDERR_FILENO);
    install_stop_handlers();
    _exit(supervise({"sh", "-c", script}, {{"FOLDER", folder_.path()}}));
  }
  static int code(int status) {
    return WIFEXITED(status) ? WEXITSTATUS(status) : 1000 + WTERMSIG(status);
  }
  static int code_of(pid_t child) {
    int status = 0;
    waitpid(child, &status, 0);
    return code(status);
  }
  // Presses Ctrl-C until the supervisor ends, as a person does: two presses that it sees as one,
  // because it had no processor between them, count once.
  static int code_after_presses(pid_t child) {
    int status = 0;
    for (int press = 0; press < 50; ++press) {
      kill(child, SIGINT);
      for (int look = 0; look < 80; ++look) {
        if (waitpid(child, &status, WNOHANG) == child) return code(status);
        std::this_thread::sleep_for(10ms);
      }
    }
    kill(child, SIGKILL);
    return code_of(child);
  }
  // Leaves with `code` on the signal. Python, because shells cannot trap a signal that was ignored
  // when they started.
  static std::string job(const std::string& signal, int code) {
    return "exec python3 -c 'import os, signal, time\n"
           "signal.signal(signal." +
           signal + ", lambda *_: os._exit(" + std::to_string(code) +
           "))\n"
           "open(os.environ[\"FOLDER\"] + \"/ready\", \"w\").close()\n"
           "time.sleep(60)'";
  }
  void wait_for(const std::string& name) const {
    const auto end = std::chrono::steady_clock::now() + 20s;
    while (!fs::exists(file(name)) && std::chrono::steady_clock::now() < end) {
      std::this_thread::sleep_for(10ms);
    }
    ASSERT_TRUE(fs::exists(file(name)));
  }

  PrivateDirectory folder_;
};

TEST_F(Supervise, ReturnsTheCodeOfTheJob) {
  EXPECT_EQ(code_of(start("exit 0")), 0);
  EXPECT_EQ(code_of(start("exit 75")), 75);
  EXPECT_EQ(code_of(start("kill -9 $$")), 137);
}

TEST_F(Supervise, PassesAStopRequestOn) {
  for (const int signal : {SIGTERM, SIGINT, SIGUSR1}) {
    fs::remove(file("ready"));
    const pid_t child = start(job("SIGUSR1", 75));
    wait_for("ready");
    kill(child, signal);
    EXPECT_EQ(code_of(child), 75);
  }
}

TEST_F(Supervise, ASecondRequestEndsTheJob) {
  const pid_t child = start(job("SIGTERM", 3));  // ignores SIGUSR1, as it was started
  wait_for("ready");
  EXPECT_EQ(code_after_presses(child), 3);
}

// As mpirun does when the request meets it in the middle of its own end.
TEST_F(Supervise, ACrashOnASecondRequestIsAStop) {
  const pid_t child =
      start("trap 'kill -SEGV $$' TERM; touch $FOLDER/ready; while :; do sleep 0.1; done");
  wait_for("ready");
  EXPECT_EQ(code_after_presses(child), 1);
}

TEST_F(Supervise, LeavesNoOrphan) {
  const pid_t child = start("(sleep 300 & echo $! > $FOLDER/pid); exit 5");
  EXPECT_EQ(code_of(child), 5);
  pid_t orphan = 0;
  std::ifstream(file("pid")) >> orphan;
  ASSERT_GT(orphan, 0);
  EXPECT_EQ(kill(orphan, 0), -1);
}

TEST_F(Supervise, AMissingProgramIsSaid) {
  const pid_t child = fork();
  if (child == 0) {
    const int out = open(file("said").c_str(), O_WRONLY | O_CREAT, 0600);
    dup2(out, STDERR_FILENO);
    install_stop_handlers();
    _exit(supervise({"no-such-mpirun"}, {}));
  }
  EXPECT_EQ(code_of(child), 5);
  std::string said;
  std::getline(std::ifstream(file("said")), said);
  EXPECT_NE(said.find("no-such-mpirun is not installed"), std::string::npos) << said;
}

TEST(Mpirun, TheLine) {
  LaunchPlan plan;
  plan.ranks = 4;
  plan.words = {"/bin/troupe", "train", "a b.yaml", "data.train=[{path: x}]"};
  plan.root = true;
  plan.oversubscribe = true;
  plan.temporary = "/tmp/t";
  plan.shared_memory = "/dev/shm/t";
  EXPECT_EQ(shell_line(mpirun_environment(plan), mpirun_line(plan)),
            "OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1 TMPDIR=/tmp/t mpirun "
            "--quiet -n 4 --bind-to none --oversubscribe --mca odls_base_sigkill_timeout 0 --mca "
            "btl_vader_backing_directory "
            "/dev/shm/t /bin/troupe train 'a b.yaml' 'data.train=[{path: x}]'");
}

TEST(Mpirun, TheLineOfSeveralHosts) {
  LaunchPlan plan;
  plan.ranks = 2;
  plan.hosts = parse_hosts("a:1,b:1");
  plan.words = {"x"};
  plan.directory = "/work";
  plan.network = "10.1.0.0/16";
  plan.timeout = 80s;
  const std::string line = shell_line({}, mpirun_line(plan));
  EXPECT_EQ(line.substr(0, line.find(" -x ")),
            "mpirun --quiet -n 2 --bind-to none --host a:1,b:1 --mca oob_tcp_if_include "
            "10.1.0.0/16 --mca btl_tcp_if_include 10.1.0.0/16 --mca oob_tcp_keepalive_time 40 "
            "--mca oob_tcp_keepalive_intvl 10 --mca oob_tcp_keepalive_probes 3 --wdir /work");
}

// Before the ranks' own deadline, however short or long that is.
TEST(Mpirun, ALostHostIsNoticedBeforeTheDeadline) {
  for (const auto deadline : {2s, 3s, 4s, 10s, 60s, 600s, 100000s}) {
    LaunchPlan plan;
    plan.hosts = parse_hosts("a:1,b:1");
    plan.words = {"x"};
    plan.timeout = deadline;
    const std::vector<std::string> line = mpirun_line(plan);
    const auto number = [&](const std::string& key) {
      return std::stoi(*(std::find(line.begin(), line.end(), "oob_tcp_keepalive_" + key) + 1));
    };
    EXPECT_LE(number("time") + number("intvl") * number("probes"), deadline.count());
    EXPECT_GE(number("probes"), 1);
  }
}

TEST(Mpirun, VariablesForOtherHosts) {
  setenv("OMP_NUM_THREADS", "3", 1);
  setenv("AN_UNRELATED_VARIABLE", "x", 1);
  const std::vector<std::string> names = passed_on_variables({{"TROUPE_LIVE_COLUMNS", "80"}});
  const auto has = [&](const std::string& name) {
    return std::count(names.begin(), names.end(), name);
  };
  EXPECT_EQ(has("OMP_NUM_THREADS"), 1);
  EXPECT_EQ(has("TROUPE_LIVE_COLUMNS"), 1);
  EXPECT_EQ(has("AN_UNRELATED_VARIABLE"), 0);
  EXPECT_EQ(has("PATH"), 0);
  unsetenv("OMP_NUM_THREADS");
  unsetenv("AN_UNRELATED_VARIABLE");
}

}  // namespace
}  // namespace troupe
