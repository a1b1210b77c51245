// Asked to stop, a job saves at the next step and leaves with code 75; the same command goes on.
#include <signal.h>

#include <filesystem>
#include <random>
#include <thread>

#include "tests/program/tiny_run.h"

namespace troupe::program {
namespace {

namespace fs = std::filesystem;

class Stop : public TinyRun {
 protected:
  // Runs for longer than any test; a key of `more` replaces one of these.
  std::vector<std::string> endless(const std::string& name,
                                   const std::vector<std::string>& more = {}) const {
    std::vector<std::string> keys{"train.steps=100000", "checkpoint.every=0", "eval.every=0",
                                  "schedule.type=constant", "logging.tensorboard=false"};
    keys.insert(keys.end(), more.begin(), more.end());
    return train(name, keys);
  }
  std::vector<std::string> launch(const std::string& name) const {
    std::vector<std::string> words{"launch", "-n", "2"};
    const std::vector<std::string> rest = endless(name);
    words.insert(words.end(), rest.begin(), rest.end());
    return alone(words);
  }
  bool trains(Job& job, const std::string& name) const {
    const auto end = std::chrono::steady_clock::now() + std::chrono::seconds(60);
    while (job.running() && std::chrono::steady_clock::now() < end) {
      if (occurrences(read_text(path(name) + "/metrics.jsonl"), "\n") >= 3) return true;
      std::this_thread::sleep_for(std::chrono::milliseconds(5));
    }
    return false;
  }
  // Until the run has a checkpoint: it is written beside the steps that follow.
  bool saves(Job& job, const std::string& name) const {
    const auto end = std::chrono::steady_clock::now() + std::chrono::seconds(60);
    while (job.running() && std::chrono::steady_clock::now() < end) {
      std::error_code error;
      for (const auto& entry : fs::directory_iterator(path(name) + "/checkpoints", error)) {
        if (entry.path().extension() == ".h5") return true;
      }
      std::this_thread::sleep_for(std::chrono::milliseconds(5));
    }
    return false;
  }
  // The step of the only checkpoint.
  int saved_step(const std::string& name) const {
    int step = 0;
    int files = 0;
    for (const auto& entry : fs::directory_iterator(path(name) + "/checkpoints")) {
      if (entry.path().filename() == ".made") continue;  // the list of these
      step = std::stoi(entry.path().filename().string().substr(5, 8));
      ++files;
    }
    EXPECT_EQ(files, 1);
    return step;
  }
  void expect_stopped(Job& job, const std::string& name) const {
    const Outcome outcome = job.wait();
    EXPECT_FALSE(outcome.expired) << outcome.err;
    EXPECT_EQ(outcome.code, 75) << outcome.err;
    EXPECT_TRUE(job.gone_within(std::chrono::seconds(5)));
    EXPECT_TRUE(job.left_overs().empty()) << job.left_overs().front();
    EXPECT_FALSE(fs::exists(path(name) + "/.lock"));
    // Saved at the step that was running: no row follows the checkpoint's.
    EXPECT_EQ(rows(name).size(), static_cast<size_t>(saved_step(name)));
  }
  // The stopped run, gone on for some steps, has the bits of a run without a stop.
  void expect_resumes(const std::string& name, int ranks) const {
    const int steps = saved_step(name) + 3;
    const auto start = [&](const std::string& which) {
      const auto words = endless(which, {"train.steps=" + std::to_string(steps)});
      return run(ranks == 1 ? alone(words) : under_mpirun(ranks, words));
    };
    const Outcome resumed = start(name);
    EXPECT_EQ(resumed.code, 0) << resumed.err;
    const Outcome whole = start("whole");
    EXPECT_EQ(whole.code, 0) << whole.err;
    expect_equal("whole", name, steps);
    expect_equal_rows("whole", name, steps);
  }
};

TEST_F(Stop, EachSignalToOneRankAlone) {
  for (const int signal : {SIGTERM, SIGINT, SIGUSR1}) {
    const std::string name = "run" + std::to_string(signal);
    Job job(alone(endless(name)));
    ASSERT_TRUE(trains(job, name)) << job.said();
    kill(job.pid(), signal);
    expect_stopped(job, name);
  }
  expect_resumes("run" + std::to_string(SIGTERM), 1);
}

// Under nohup the end of the terminal is no reason to stop.
TEST_F(Stop, AnIgnoredHangUpStaysIgnored) {
  std::vector<std::string> words{"sh", "-c", "trap '' HUP; exec \"$@\"", "sh"};
  const auto command = alone(endless("run"));
  words.insert(words.end(), command.begin(), command.end());
  Job job(words);
  ASSERT_TRUE(trains(job, "run")) << job.said();
  kill(job.pid(), SIGHUP);
  const auto logged = [&] { return occurrences(read_text(path("run") + "/metrics.jsonl"), "\n"); };
  const int before = logged();
  while (job.running() && logged() < before + 3) {
    std::this_thread::sleep_for(std::chrono::milliseconds(5));
  }
  EXPECT_TRUE(job.running());
  kill(job.pid(), SIGTERM);
  expect_stopped(job, "run");
}

TEST_F(Stop, ATrainingOutlivesTheReaderOfItsOutput) {
  std::vector<std::string> words{"bash", "-c", "set -o pipefail; \"$@\" 2>&1 | head -n 1", "bash"};
  const auto command = alone(train("run", {"eval.every=2"}));
  words.insert(words.end(), command.begin(), command.end());
  const Outcome outcome = run(words);
  EXPECT_EQ(outcome.code, 0) << outcome.err;
  EXPECT_EQ(rows("run").size(), 12U);
}

TEST_F(Stop, EachSignalToOneOfTwoRanks) {
  int target = 0;
  for (const int signal : {SIGUSR1, SIGTERM, SIGINT}) {
    const std::string name = "run" + std::to_string(signal);
    Job job(under_mpirun(2, endless(name)));
    ASSERT_TRUE(trains(job, name)) << job.said();
    kill(job.rank(target), signal);
    expect_stopped(job, name);
    target = 1 - target;
  }
  expect_resumes("run" + std::to_string(SIGUSR1), 2);
}

TEST_F(Stop, Usr1ToMpirun) {
  Job job(under_mpirun(2, endless("run", {"parallel.ep=2"})));
  ASSERT_TRUE(trains(job, "run")) << job.said();
  kill(job.pid(), SIGUSR1);
  expect_stopped(job, "run");
}

// The value that follows `key` in the line that launch prints.
std::string value_after(const std::string& text, const std::string& key) {
  const size_t begin = text.find(key);
  if (begin == std::string::npos) return {};
  const size_t from = begin + key.size();
  return text.substr(from, text.find_first_of(" \n", from) - from);
}

TEST_F(Stop, EachSignalToLaunch) {
  for (const int signal : {SIGTERM, SIGINT, SIGHUP}) {
    const std::string name = "run" + std::to_string(signal);
    Job job(launch(name));
    ASSERT_TRUE(trains(job, name)) << job.said();
    const std::string memory = value_after(job.said(), "btl_vader_backing_directory ");
    const std::string temporary = value_after(job.said(), "TMPDIR=");
    EXPECT_TRUE(fs::exists(memory)) << job.said();
    EXPECT_TRUE(fs::exists(temporary)) << job.said();
    kill(job.pid(), signal);
    expect_stopped(job, name);
    EXPECT_FALSE(fs::exists(memory));
    EXPECT_FALSE(fs::exists(temporary));
  }
  expect_resumes("run" + std::to_string(SIGTERM), 2);
}

// Ranks that have just been started may have no handler yet: launch asks when they can hear.
TEST_F(Stop, TerminateToLaunchWhileItStarts) {
  Job job(launch("run"));
  ASSERT_TRUE(job.says("mpirun ")) << job.said();
  kill(job.pid(), SIGTERM);
  expect_stopped(job, "run");
}

// The tokenising of a large text is left as well: there is nothing to save yet.
TEST_F(Stop, TokenisingIsLeft) {
  // Words that hardly ever come twice take a tokenizer longest: many seconds on any machine.
  std::mt19937 random(1);
  std::string text(60'000'000, ' ');
  for (size_t i = 0; i < text.size(); ++i) {
    if (i % 12 != 0) text[i] = static_cast<char>('a' + random() % 26);
  }
  write_text(path("long.txt"), text);
  for (const int ranks : {1, 2}) {
    const auto words = endless(
        "run", {"data.train=" + path("long.txt"),
                "data.tokenizer=" TROUPE_SOURCE_DIR "/tests/core/text/data/small_json/gpt2.json"});
    Job job(ranks == 1 ? alone(words) : under_mpirun(2, words));
    const pid_t rank = ranks == 1 ? job.pid() : job.rank(1);
    std::this_thread::sleep_for(std::chrono::milliseconds(300));
    kill(rank, SIGUSR1);
    const Outcome outcome = job.wait();
    EXPECT_FALSE(outcome.expired) << outcome.err;
    EXPECT_EQ(outcome.code, 75) << outcome.err;
    // mpirun may end the other rank with the same request.
    const int said = occurrences(outcome.err, "error: stopped while tokenising");
    EXPECT_GE(said, 1) << outcome.err;
    EXPECT_LE(said, ranks) << outcome.err;
    EXPECT_TRUE(job.gone_within(std::chrono::seconds(5)));
    EXPECT_TRUE(job.left_overs().empty()) << job.left_overs().front();
    EXPECT_FALSE(fs::exists(path("run/metrics.jsonl")));
  }
}

// An evaluation of the whole held-out part would take longer than the test: it is left, in the
// middle of a run and at its end, and made when the run goes on. Then it is a short one
// (eval.tokens).
TEST_F(Stop, AnEvaluationIsLeftAndMadeWhenTheRunGoesOn) {
  std::string held_out;
  for (int line = 0; held_out.size() < 4'000'000; ++line) {
    held_out += "line " + std::to_string(line) + " of what the model has not seen\n";
  }
  write_text(path("held_out.txt"), held_out);
  for (const int steps : {4, 2}) {
    const std::string name = "run" + std::to_string(steps);
    const auto job_of = [&](const std::string& which, const char* tokens) {
      const auto words = endless(
          which, {"train.steps=" + std::to_string(steps), "eval.every=2", "data.val_fraction=0",
                  "data.val=" + path("held_out.txt"), std::string("eval.tokens=") + tokens});
      return steps == 2 ? alone(words) : under_mpirun(2, words);
    };
    Job job(job_of(name, "all"));
    while (job.running() && rows(name).empty()) {
      std::this_thread::sleep_for(std::chrono::milliseconds(5));
    }
    std::this_thread::sleep_for(std::chrono::milliseconds(200));
    kill(steps == 2 ? job.pid() : job.rank(1), SIGUSR1);
    expect_stopped(job, name);
    ASSERT_EQ(saved_step(name), 2);
    EXPECT_FALSE(rows(name).at(1).contains("val_loss"));

    const Outcome resumed = run(job_of(name, "160"));
    EXPECT_EQ(resumed.code, 0) << resumed.err;
    EXPECT_NE(resumed.err.find("step 2: val_loss "), std::string::npos) << resumed.err;
    const Outcome whole = run(job_of("whole" + name, "160"));
    EXPECT_EQ(whole.code, 0) << whole.err;
    EXPECT_TRUE(rows(name).at(1).contains("val_loss"));
    expect_equal_rows("whole" + name, name, steps);
    const Outcome again = run(job_of(name, "160"));
    EXPECT_EQ(again.code, 0) << again.err;
    EXPECT_NE(again.err.find("has already run its"), std::string::npos) << again.err;
  }
}

// Nothing can clean up after this; but no process goes on unseen.
TEST_F(Stop, KilledLaunchOrMpirunTakesTheRanksWithIt) {
  for (const bool launched : {true, false}) {
    const std::string name = launched ? "launched" : "mpirun";
    Job job(launched ? launch(name) : under_mpirun(2, endless(name)));
    ASSERT_TRUE(trains(job, name)) << job.said();
    kill(job.pid(), SIGKILL);
    EXPECT_TRUE(job.gone_within(std::chrono::seconds(10))) << name;
    if (launched) {
      fs::remove_all(value_after(job.said(), "btl_vader_backing_directory "));
      fs::remove_all(value_after(job.said(), "TMPDIR="));
    }
  }
}

TEST_F(Stop, ASecondInterruptEndsLaunchAtOnce) {
  Job job(launch("run"));
  ASSERT_TRUE(trains(job, "run")) << job.said();
  // A rank that cannot answer: the job would never reach its next step.
  kill(job.rank(1), SIGSTOP);
  kill(job.pid(), SIGINT);
  std::this_thread::sleep_for(std::chrono::milliseconds(800));
  EXPECT_TRUE(job.running());
  const auto pressed = std::chrono::steady_clock::now();
  kill(job.pid(), SIGINT);
  const Outcome outcome = job.wait();
  EXPECT_FALSE(outcome.expired) << outcome.err;
  EXPECT_NE(outcome.code, 0);
  EXPECT_LT(std::chrono::steady_clock::now() - pressed, std::chrono::seconds(10));
  EXPECT_TRUE(job.gone_within(std::chrono::seconds(5)));
  EXPECT_TRUE(job.left_overs().empty()) << job.left_overs().front();
}

// OpenMPI itself turns these into a kill (documented): the checkpoint before stays valid.
TEST_F(Stop, TerminateToMpirunKeepsTheCheckpointBefore) {
  Job job(under_mpirun(2, endless("run", {"checkpoint.every=2"})));
  ASSERT_TRUE(saves(job, "run")) << job.said();
  kill(job.pid(), SIGTERM);
  const Outcome outcome = job.wait();
  EXPECT_FALSE(outcome.expired) << outcome.err;
  EXPECT_TRUE(job.gone_within(std::chrono::seconds(5)));
  const Outcome verified = run(alone({"ckpt", "verify", path("run")}));
  EXPECT_EQ(verified.code, 0) << verified.out << verified.err;
}

}  // namespace
}  // namespace troupe::program
