// `troupe launch --hosts` on several machines: TCP between them, shared memory inside.
#include <signal.h>

#include <filesystem>
#include <thread>

#include "tests/cluster/several_hosts.h"

namespace troupe::cluster {
namespace {

namespace fs = std::filesystem;
using namespace program;
using namespace std::string_view_literals;
using Clock = std::chrono::steady_clock;

class SeveralHosts : public HostRun {
 protected:
  bool trains(Job& job, const std::string& name) const {
    while (job.running()) {
      if (occurrences(read_text(path(name) + "/metrics.jsonl"), "\n") >= 3) return true;
      std::this_thread::sleep_for(std::chrono::milliseconds(5));
    }
    return false;
  }
};

TEST_F(SeveralHosts, TheSameBitsAsOneHost) {
  const std::vector<std::string> keys{"parallel.ep=2"};
  const Outcome one = run(under_mpirun(4, train("one", keys)));
  ASSERT_EQ(one.code, 0) << one.err;
  const Cluster two(2);
  NEED(two);
  const auto expect_same = [&](const std::vector<std::string>& options, const std::string& name) {
    const Outcome outcome = run_to_end(two, launch(two, options, name, keys), 2);
    ASSERT_EQ(outcome.code, 0) << outcome.err;
    expect_equal("one", name, 12);
    expect_equal_rows("one", name, 12);
  };
  expect_same({"-n", "4", "--hosts", "host1,host2"}, "list");
  write_text(path("hosts"), "host1 slots=2\nhost2 slots=2\n");
  // An address that all hosts have on a network that leads nowhere, as container software makes it.
  for (const int host : {1, 2}) {
    two.ask(host, {"sh", "-c",
                   "ip link add docker0 type bridge && "
                   "ip address add 172.17.0.1/16 dev docker0 && ip link set docker0 up"});
  }
  expect_same({"--hosts", path("hosts"), "--network", "10.77.0.0/24"}, "file");
}

TEST_F(SeveralHosts, FourHosts) {
  const Outcome one = run(under_mpirun(4, train("one", {"parallel.ep=4"})));
  ASSERT_EQ(one.code, 0) << one.err;
  const Cluster four(4);
  NEED(four);
  const Outcome outcome = run_to_end(
      four, launch(four, {"--hosts", "host1:1,host2:1,host3:1,host4:1"}, "four", {"parallel.ep=4"}),
      4);
  ASSERT_EQ(outcome.code, 0) << outcome.err;
  expect_equal("one", "four", 12);
  expect_equal_rows("one", "four", 12);
}

TEST_F(SeveralHosts, RanksElsewhereGetTheEnvironmentAndTheDirectory) {
  const Cluster two(2);
  NEED(two);
  // Rank 0 runs on host2: what it says it has from launch.
  std::vector<std::string> line =
      launch(two, {"--hosts", "host2:1,host1:1"}, "run", {"runtime.threads=auto", "train.steps=2"});
  line.insert(line.begin() + 4, {"env", "OMP_NUM_THREADS=3"});
  const Outcome outcome = run_to_end(two, line, 2);
  ASSERT_EQ(outcome.code, 0) << outcome.err;
  EXPECT_NE(outcome.err.find("3 threads each"), std::string::npos) << outcome.err;
  // /dev/shm is each host's own: the directory is missing on host2, which is said.
  line = launch(two, {"--hosts", "host1:1,host2:1"}, "other", {});
  line.insert(line.begin() + 4, {"env", "-C", "/dev/shm/only-here"});
  two.ask(1, {"mkdir", "/dev/shm/only-here"});
  const Outcome lost = run_to_end(two, line, 2);
  EXPECT_NE(lost.code, 0);
  EXPECT_NE(lost.err.find("the working directory must be at the same path"), std::string::npos)
      << lost.err;
  EXPECT_FALSE(fs::exists(path("other") + "/metrics.jsonl"));
}

class LostHost : public SeveralHosts, public testing::WithParamInterface<const char*> {};
INSTANTIATE_TEST_SUITE_P(SeveralHosts, LostHost, testing::Values("power", "link"),
                         [](const auto& info) { return std::string(info.param); });

TEST_P(LostHost, EndsTheJob) {
  constexpr std::chrono::seconds kDeadline(4);
  const std::string how = GetParam();
  const Cluster two(2);
  NEED(two);
  Job job(launch(two, {"--hosts", "host1:2,host2:2"}, how,
                 {"parallel.ep=2", "train.steps=100000", "checkpoint.every=0", "eval.every=0",
                  "runtime.timeout=4s"}));
  ASSERT_TRUE(trains(job, how)) << job.said();
  const auto lost = Clock::now();
  if (how == "power") {
    two.lose(2);
  } else {
    two.link(2, "down");
  }
  const Outcome outcome = job.wait();
  EXPECT_LT(Clock::now() - lost, kDeadline + std::chrono::seconds(5));
  EXPECT_EQ(outcome.code, 7) << how << "\n" << outcome.err;
  EXPECT_TRUE(job.gone_within(std::chrono::duration_cast<std::chrono::milliseconds>(
      lost + kDeadline + std::chrono::seconds(5) - Clock::now())))
      << how;
  EXPECT_TRUE(two.left_overs(1).empty()) << two.left_overs(1).front();
}

// Its watchdog cannot answer those of the other host, of whom one says so with the deadline; mpirun
// leaves its ranks 4 s more, whoever has started it.
class StoppedRank : public SeveralHosts, public testing::WithParamInterface<int> {};
INSTANTIATE_TEST_SUITE_P(SeveralHosts, StoppedRank, testing::Range(0, 2));

TEST_P(StoppedRank, OfAnotherHostIsNamed) {
  constexpr std::chrono::seconds kDeadline(4);
  const int stopped = GetParam();
  const Cluster two(2);
  NEED(two);
  const std::string name = "run" + std::to_string(stopped);
  const std::vector<std::string> keys{"parallel.ep=2", "train.steps=100000", "checkpoint.every=0",
                                      "eval.every=0", "runtime.timeout=4s"};
  std::vector<std::string> alone{"mpirun", "-n",          "2",
                                 "--host", "host1,host2", TROUPE_BINARY_DIR "/troupe"};
  const std::vector<std::string> rest = train(name, keys);
  alone.insert(alone.end(), rest.begin(), rest.end());
  Job job(stopped == 0 ? two.on(1, alone)
                       : launch(two, {"--hosts", "host1:1,host2:1"}, name, keys));
  ASSERT_TRUE(trains(job, name)) << job.said();
  kill(job.rank(stopped), SIGSTOP);
  const auto since = Clock::now();
  const Outcome outcome = job.wait();
  EXPECT_LT(Clock::now() - since, kDeadline + std::chrono::seconds(5));
  EXPECT_EQ(outcome.code, 7) << outcome.err;
  EXPECT_EQ(occurrences(outcome.err, "no answer from rank "), 1) << outcome.err;
  const std::string said = "no answer from rank " + std::to_string(stopped) + " within 4 s";
  EXPECT_EQ(occurrences(outcome.err, said), 1) << outcome.err;
  const std::string other = "awaited by rank " + std::to_string(1 - stopped);
  EXPECT_EQ(occurrences(outcome.err, other + "; it does not answer at all"), 1) << outcome.err;
  EXPECT_TRUE(job.gone_within(std::chrono::seconds(1)));
  for (const int host : {1, 2}) {
    EXPECT_TRUE(two.left_overs(host).empty()) << two.left_overs(host).front();
  }
}

// The process of the job that is `troupe launch`.
pid_t launcher(const Job& job) {
  for (const pid_t process : job.processes()) {
    const std::string line = read_text("/proc/" + std::to_string(process) + "/cmdline");
    if (line.rfind(TROUPE_BINARY_DIR "/troupe\0launch"sv, 0) == 0) return process;
  }
  return -1;
}

class StopSignal : public SeveralHosts, public testing::WithParamInterface<int> {};
INSTANTIATE_TEST_SUITE_P(SeveralHosts, StopSignal, testing::Values(SIGINT, SIGTERM),
                         [](const auto& info) {
                           return std::string(info.param == SIGINT ? "interrupt" : "terminate");
                         });

TEST_P(StopSignal, ReachesAllHosts) {
  const int signal = GetParam();
  const Cluster two(2);
  NEED(two);
  const std::string name = "run" + std::to_string(signal);
  Job job(launch(two, {"--hosts", "host1:2,host2:2"}, name,
                 {"parallel.ep=2", "train.steps=100000", "checkpoint.every=0", "eval.every=0",
                  "checkpoint.async=true"}));
  ASSERT_TRUE(trains(job, name)) << job.said();
  const pid_t process = launcher(job);
  ASSERT_GT(process, 0) << job.said();
  kill(process, signal);
  const Outcome outcome = job.wait();
  EXPECT_EQ(outcome.code, 75) << outcome.err;
  EXPECT_TRUE(job.gone_within(std::chrono::seconds(2)));
  EXPECT_EQ(occurrences(outcome.err, "error:"), 0) << outcome.err;
  // Saved at the step that was running: no row follows the checkpoint's.
  const int steps = static_cast<int>(rows(name).size());
  EXPECT_TRUE(fs::exists(checkpoint(name, steps))) << steps;
  EXPECT_EQ(run(alone({"ckpt", "verify", path(name)})).code, 0);
  EXPECT_FALSE(fs::exists(path(name) + "/.lock"));
  for (const int host : {1, 2}) {
    EXPECT_TRUE(two.left_overs(host).empty()) << two.left_overs(host).front();
  }
}

TEST_F(SeveralHosts, AStopRequestReachesAllHosts) {
  const Cluster two(2);
  NEED(two);
  Job job(launch(two, {"--hosts", "host1:1,host2:1"}, "run",
                 {"train.steps=100000", "checkpoint.every=0", "eval.every=0"}));
  ASSERT_TRUE(trains(job, "run")) << job.said();
  for (const pid_t process : job.processes()) {
    if (read_text("/proc/" + std::to_string(process) + "/cmdline").rfind("mpirun", 0) == 0) {
      kill(process, SIGUSR1);
    }
  }
  const Outcome outcome = job.wait();
  EXPECT_EQ(outcome.code, 75) << outcome.err;
  EXPECT_TRUE(job.gone_within(std::chrono::seconds(5)));
}

TEST_F(SeveralHosts, AHostThatCannotBeReached) {
  const Cluster two(2);
  NEED(two);
  const Outcome outcome =
      run_to_end(two, launch(two, {"--hosts", "host1:1,host9:1"}, "run", {}), 2);
  EXPECT_NE(outcome.code, 0);
  EXPECT_NE(outcome.err.find("`ssh HOST` must work"), std::string::npos) << outcome.err;
}

// The machines themselves: none is left, however their owner ends.
TEST(Hosts, AreGoneWithTheirOwner) {
  const std::string script = TROUPE_SOURCE_DIR "/launch/scripts/emulated-hosts";
  {
    const Cluster probe(1);
    NEED(probe);
  }
  for (const int signal : {SIGTERM, SIGKILL}) {
    Job job({script, "run", "2", "sh", "-c", "echo up >&2; sleep 100"});
    ASSERT_TRUE(job.says("up"));
    kill(job.pid(), signal);
    EXPECT_TRUE(job.gone_within(std::chrono::seconds(5))) << signal;
  }
}

}  // namespace
}  // namespace troupe::cluster
