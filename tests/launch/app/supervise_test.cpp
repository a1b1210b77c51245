// The supervisor of `troupe launch`, with shells in the place of mpirun.
#include <fcntl.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <filesystem>
#include <fstream>
#include <thread>

#include "launch/app/mpirun.h"
#include "launch/app/stop_request.h"

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
  static int code_of(pid_t child) {
    int status = 0;
    waitpid(child, &status, 0);
    return WIFEXITED(status) ? WEXITSTATUS(status) : 1000 + WTERMSIG(status);
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
  kill(child, SIGINT);
  std::this_thread::sleep_for(800ms);
  kill(child, SIGINT);
  EXPECT_EQ(code_of(child), 3);
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
            "--quiet -n 4 --bind-to none --oversubscribe --mca btl_vader_backing_directory "
            "/dev/shm/t /bin/troupe train 'a b.yaml' 'data.train=[{path: x}]'");
  LaunchPlan far;
  far.ranks = 2;
  far.hosts = "a:1,b:1";
  far.words = {"x"};
  EXPECT_EQ(shell_line(mpirun_environment(far), mpirun_line(far)),
            "mpirun --quiet -n 2 --bind-to none --host a:1,b:1 x");
}

TEST(Mpirun, PrivateDirectoriesGoWithAllTheyHold) {
  std::string path;
  {
    const PrivateDirectory folder("/tmp");
    path = folder.path();
    ASSERT_FALSE(path.empty());
    fs::create_directories(path + "/a/b");
    std::ofstream(path + "/a/b/file") << "x";
  }
  EXPECT_FALSE(fs::exists(path));
  EXPECT_TRUE(PrivateDirectory("/nonexistent").path().empty());
}

}  // namespace
}  // namespace troupe
