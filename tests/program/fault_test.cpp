// Ranks that are killed or fall silent: the others leave, nothing is left behind, and the run goes
// on to the bits of one that was not disturbed.
#include <signal.h>

#include <filesystem>
#include <fstream>
#include <random>
#include <thread>

#include "tests/program/tiny_run.h"

namespace troupe::program {
namespace {

namespace fs = std::filesystem;
using Clock = std::chrono::steady_clock;

constexpr int kSteps = 60;

class Faults : public TinyRun {
 protected:
  std::vector<std::string> job(const std::string& name,
                               const std::vector<std::string>& saving = {}) const {
    std::vector<std::string> keys{"parallel.ep=2", "train.steps=" + std::to_string(kSteps),
                                  "checkpoint.every=3", "eval.every=20"};
    keys.insert(keys.end(), saving.begin(), saving.end());
    return under_mpirun(2, train(name, keys));
  }
  // Into one file and into shards, beside training and not, in turns.
  static std::vector<std::string> way_of_saving(int round) {
    return {"checkpoint.keep=3",
            "checkpoint.shard_above=" + std::to_string(round % 4 < 2 ? 1 << 30 : 0),
            std::string("checkpoint.async=") + (round % 8 < 4 ? "true" : "false")};
  }
  int rows_so_far(const std::string& name) const {
    return occurrences(read_text(path(name) + "/metrics.jsonl"), "\n");
  }
  bool saving(const std::string& name) const {
    std::error_code error;
    for (const auto& entry : fs::directory_iterator(path(name) + "/checkpoints", error)) {
      if (entry.path().extension() == ".tmp") return true;
      if (entry.is_directory(error) && !fs::exists(manifest_of(entry.path()), error)) return true;
    }
    return false;
  }
  // checkpoints/step-N.shards or .shards-2: checkpoints/step-N.h5
  static fs::path manifest_of(const fs::path& folder) {
    return folder.parent_path() / (folder.stem().string() + ".h5");
  }
  // Three checkpoints are kept; each is one file, or a manifest and a folder of its own.
  void expect_three_checkpoints(const std::string& name, bool shards) const {
    int files = 0;
    int folders = 0;
    for (const auto& entry : fs::directory_iterator(path(name) + "/checkpoints")) {
      if (entry.path().filename() == ".made") continue;  // the list of these
      (entry.is_directory() ? folders : files) += 1;
    }
    EXPECT_EQ(files, 3);
    EXPECT_EQ(folders, shards ? 3 : 0);
  }
  // Waits for the moment, then kills the rank. False when the job ended before.
  template <typename Moment>
  bool kill_rank_at(Job& job, int rank, Moment moment) const {
    const pid_t victim = job.rank(rank);
    while (job.running() && !moment()) std::this_thread::sleep_for(std::chrono::microseconds(200));
    return job.running() && kill(victim, SIGKILL) == 0;
  }
  void expect_clean_end(Job& job) const {
    const auto killed = Clock::now();
    EXPECT_TRUE(job.gone_within(std::chrono::seconds(5))) << job.said();
    const Outcome outcome = job.wait();
    EXPECT_FALSE(outcome.expired) << outcome.err;
    EXPECT_TRUE(outcome.code == 137 || outcome.code == 7) << outcome.code << "\n" << outcome.err;
    EXPECT_LT(Clock::now() - killed, std::chrono::seconds(6));
    EXPECT_TRUE(job.left_overs().empty()) << job.left_overs().front();
  }
  // Kills at random steps (even rounds) and during saves (odd rounds), a new run each time.
  void kill_and_resume(int first, int rounds, uint32_t seed) const {
    const Outcome whole = run(job("whole"));
    ASSERT_EQ(whole.code, 0) << whole.err;
    std::mt19937 random(seed);
    int killed = 0;
    for (int round = first; round < first + rounds; ++round) {
      const std::string name = "round" + std::to_string(round);
      const int rank = static_cast<int>(random() % 2);
      const int step = 1 + static_cast<int>(random() % (kSteps / 2));
      SCOPED_TRACE("seed " + std::to_string(seed) + ", " + name + ", rank " + std::to_string(rank) +
                   ", step " + std::to_string(step));
      {
        Job cut(job(name, way_of_saving(round)));
        const bool during_save = round % 2 == 1;
        killed += kill_rank_at(
            cut, rank, [&] { return rows_so_far(name) >= step && (!during_save || saving(name)); });
        expect_clean_end(cut);
      }
      const Outcome resumed = run(job(name, way_of_saving(round)));
      EXPECT_EQ(resumed.code, 0) << resumed.err;
      expect_equal_rows("whole", name, kSteps);
      // The ways of saving differ, nothing else.
      const Outcome diff =
          run(alone({"ckpt", "diff", checkpoint("whole", kSteps), checkpoint(name, kSteps)}));
      EXPECT_EQ(occurrences(diff.out, "differ"), 1) << diff.out << diff.err;
      EXPECT_EQ(occurrences(diff.out, "the configuration differs"), 1) << diff.out;
      EXPECT_EQ(occurrences(diff.out, "are equal in every bit"), 1) << diff.out;
      EXPECT_FALSE(saving(name));
      expect_three_checkpoints(name, round % 4 >= 2);
      fs::remove_all(path(name));
    }
    EXPECT_EQ(killed, rounds);
  }
};

TEST_F(Faults, ARankKilledAtAStep) { kill_and_resume(0, 1, 11); }
TEST_F(Faults, ARankKilledDuringASave) { kill_and_resume(1, 1, 12); }
TEST_F(Faults, ARankKilledAtAStepOfARunInShards) { kill_and_resume(2, 1, 13); }
TEST_F(Faults, ARankKilledDuringASaveOfShards) { kill_and_resume(3, 1, 14); }

// Another random seed each time; the trace names it.
class LongFaults : public Faults {};
TEST_F(LongFaults, AKilledRankAtAnyMoment) {
  kill_and_resume(0, 20, static_cast<uint32_t>(Clock::now().time_since_epoch().count()));
}

class SilentRank : public Faults, public testing::WithParamInterface<int> {};
INSTANTIATE_TEST_SUITE_P(Faults, SilentRank, testing::Range(0, 2));

TEST_P(SilentRank, IsNamedAndTheJobEnds) {
  const int silent = GetParam();
  const std::string name = "run" + std::to_string(silent);
  Job job(under_mpirun(2, train(name, {"train.steps=100000", "checkpoint.every=0", "eval.every=0",
                                       "runtime.timeout=3s"})));
  const pid_t victim = job.rank(silent);
  while (job.running() && rows_so_far(name) < 3) {
    std::this_thread::sleep_for(std::chrono::milliseconds(5));
  }
  ASSERT_TRUE(job.running()) << job.said();
  kill(victim, SIGSTOP);
  const auto stopped = Clock::now();
  const Outcome outcome = job.wait();
  EXPECT_FALSE(outcome.expired) << outcome.err;
  EXPECT_EQ(outcome.code, 7) << outcome.err;
  EXPECT_LT(Clock::now() - stopped, std::chrono::seconds(3 + 5));
  // One report, which says where in the step the rank is awaited and what matched before.
  EXPECT_EQ(occurrences(outcome.err, "no answer from rank "), 1) << outcome.err;
  for (const std::string& part :
       {"no answer from rank " + std::to_string(silent) + " within 3 s: ",
        ", awaited by rank " + std::to_string(1 - silent) + "; it does not answer at all",
        std::string("; the last operation that matched is ")}) {
    EXPECT_EQ(occurrences(outcome.err, part), 1) << part << "\n" << outcome.err;
  }
  EXPECT_TRUE(job.gone_within(std::chrono::seconds(5)));
  EXPECT_TRUE(job.left_overs().empty()) << job.left_overs().front();
}

// eval has no configuration of its own: --timeout says how long its ranks wait.
class SilentInEvaluation : public Faults, public testing::WithParamInterface<int> {};
INSTANTIATE_TEST_SUITE_P(Faults, SilentInEvaluation, testing::Values(0, 1500));

TEST_P(SilentInEvaluation, IsNamedToo) {
  ASSERT_EQ(run(alone(train("run", {"train.steps=2", "eval.every=0"}))).code, 0);
  std::string text;
  while (text.size() < 20'000'000) text += "the actors enter and the king speaks of the stars\n";
  write_text(path("long.txt"), text);
  const int milliseconds = GetParam();
  Job job(under_mpirun(2, {"eval", path("run"), "--text", path("long.txt"), "--timeout", "3s"}));
  const pid_t victim = job.rank(1);
  std::this_thread::sleep_for(std::chrono::milliseconds(milliseconds));
  ASSERT_TRUE(job.running()) << job.said();
  kill(victim, SIGSTOP);
  const auto stopped = Clock::now();
  const Outcome outcome = job.wait();
  EXPECT_EQ(outcome.code, 7) << outcome.err;
  EXPECT_LT(Clock::now() - stopped, std::chrono::seconds(3 + 5));
  EXPECT_EQ(occurrences(outcome.err, "(eval: --timeout)"), 1) << outcome.err;
  EXPECT_TRUE(job.gone_within(std::chrono::seconds(5)));
  const Outcome wrong = run(alone({"eval", path("run"), "--timeout", "3"}));
  EXPECT_EQ(wrong.code, 2);
  EXPECT_EQ(occurrences(wrong.err, "--timeout 3: "), 1) << wrong.err;
}

// A whole run in which every operation is compared first: nothing differs, and bits are the same.
TEST_F(Faults, ComparedCollectivesChangeNothing) {
  const std::vector<std::string> keys{"parallel.ep=2", "train.steps=4", "eval.every=2"};
  std::vector<std::string> checking = keys;
  checking.emplace_back("runtime.check_collectives=true");
  ASSERT_EQ(run(under_mpirun(2, train("free", keys))).code, 0);
  const Outcome outcome = run(under_mpirun(2, train("checked", checking)));
  ASSERT_EQ(outcome.code, 0) << outcome.err;
  expect_equal_rows("free", "checked", 4);
}

TEST_F(Faults, AKilledOrSilentRankUnderLaunch) {
  for (const int signal : {SIGKILL, SIGSTOP}) {
    const std::string name = "run" + std::to_string(signal);
    std::vector<std::string> words{"launch", "-n", "2"};
    const auto rest = train(
        name, {"train.steps=100000", "checkpoint.every=0", "eval.every=0", "runtime.timeout=3s"});
    words.insert(words.end(), rest.begin(), rest.end());
    Job job(alone(words));
    const pid_t victim = job.rank(1);
    while (job.running() && rows_so_far(name) < 3) {
      std::this_thread::sleep_for(std::chrono::milliseconds(5));
    }
    ASSERT_TRUE(job.running()) << job.said();
    const std::string said = job.said();
    const size_t memory = said.find("/dev/shm/troupe-");
    ASSERT_NE(memory, std::string::npos) << said;
    kill(victim, signal);
    const auto killed = Clock::now();
    const Outcome outcome = job.wait();
    EXPECT_EQ(outcome.code, signal == SIGKILL ? 137 : 7) << outcome.err;
    EXPECT_LT(Clock::now() - killed, std::chrono::seconds(signal == SIGKILL ? 5 : 8));
    EXPECT_TRUE(job.gone_within(std::chrono::seconds(1)));
    EXPECT_TRUE(job.left_overs().empty()) << job.left_overs().front();
    EXPECT_FALSE(fs::exists(said.substr(memory, said.find(' ', memory) - memory)));
  }
}

TEST_F(Faults, TwoRunsOnOneDirectory) {
  Job first(alone(train("run", {"train.steps=100000", "checkpoint.every=0", "eval.every=0"})));
  while (first.running() && rows_so_far("run") < 2) {
    std::this_thread::sleep_for(std::chrono::milliseconds(5));
  }
  for (const auto& keys :
       {std::vector<std::string>{}, std::vector<std::string>{"checkpoint.resume=never"}}) {
    const Outcome second = run(alone(train("run", keys)));
    EXPECT_EQ(second.code, 2) << second.err;
    EXPECT_EQ(occurrences(second.err, "the run directory is in use"), 1) << second.err;
    const Outcome ranks = run(under_mpirun(2, train("run", keys)));
    EXPECT_EQ(ranks.code, 2) << ranks.err;
    EXPECT_EQ(occurrences(ranks.err, "the run directory is in use"), 1) << ranks.err;
  }
  EXPECT_TRUE(first.running());
  kill(first.pid(), SIGTERM);
  EXPECT_EQ(first.wait().code, 75);
  EXPECT_EQ(rows("run").back()["step"], rows("run").size());
}

}  // namespace
}  // namespace troupe::program
