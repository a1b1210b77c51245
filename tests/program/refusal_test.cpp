// What cannot work is refused with one message and the documented exit code, on one rank and two.
#include <signal.h>
#include <sys/stat.h>

#include <filesystem>

#include "tests/program/tiny_run.h"

namespace troupe::program {
namespace {

namespace fs = std::filesystem;

class Refusal : public TinyRun {
 protected:
  // The command fails alike alone and on two ranks, and `said` is said once.
  void expect_refused(const std::vector<std::string>& keys, int code, const std::string& said) {
    for (const int ranks : {1, 2}) {
      SCOPED_TRACE(std::to_string(ranks) + " ranks");
      const auto words = train("run", keys);
      expect_failed(run(ranks == 1 ? alone(words) : under_mpirun(ranks, words)), code, said);
    }
  }
  static void expect_failed(const Outcome& outcome, int code, const std::string& said) {
    EXPECT_EQ(outcome.code, code) << outcome.err;
    EXPECT_EQ(occurrences(outcome.err, said), 1) << said << "\n" << outcome.err;
    EXPECT_EQ(occurrences(outcome.err, "error:"), 1) << outcome.err;
    EXPECT_EQ(occurrences(outcome.err, "terminate called"), 0) << outcome.err;
    EXPECT_TRUE(outcome.out.empty()) << outcome.out;
  }
};

TEST_F(Refusal, MissingConfigurationFile) {
  expect_failed(run(alone({"train", path("none.yaml")})), 2, "none.yaml");
  expect_failed(run(under_mpirun(2, {"train", path("none.yaml")})), 2, "none.yaml");
}

TEST_F(Refusal, AnUnknownCommandGetsTheNearestName) {
  expect_failed(run(alone({"trian", path("tiny.yaml")})), 2, "did you mean train?");
  expect_failed(run(alone({"launch", "-n", "2", "trian", path("tiny.yaml")})), 2,
                "did you mean train?");
}

TEST_F(Refusal, MissingText) {
  expect_refused({"data.train=" + path("none.txt")}, 3, "none.txt");
  expect_refused({"data.tokenizer=" + path("none.json")}, 3, "none.json");
}

TEST_F(Refusal, EmptyFolder) {
  fs::create_directory(path("folder"));
  expect_refused({"data.train=" + path("folder")}, 3, "the folder holds no files");
}

TEST_F(Refusal, TextOfThreeBytes) {
  write_text(path("short.txt"), "abc");
  expect_refused({"data.train=" + path("short.txt")}, 3, "short.txt");
  write_text(path("short.txt"), "");
  expect_refused({"data.train=" + path("short.txt")}, 3, "short.txt");
}

TEST_F(Refusal, VocabularyTooSmall) {
  expect_refused({"model.vocab=100"}, 3, "vocabulary of the model is too small");
}

TEST_F(Refusal, WrongNumberOfRanks) {
  const Outcome three =
      run(under_mpirun(3, train("run", {"parallel.ep=2", "train.global_batch=6"})));
  expect_failed(three, 2, "parallel.ep");
  const Outcome fixed = run(under_mpirun(2, train("run", {"parallel.dp=4"})));
  expect_failed(fixed, 2, "parallel.dp");
  const Outcome experts =
      run(under_mpirun(3, train("run", {"parallel.ep=3", "train.global_batch=6"})));
  expect_failed(experts, 2, "moe.experts");
}

TEST_F(Refusal, MoreMemoryThanTheMachineHas) {
  expect_refused({"model.dim=65536", "model.layers=200"}, 5, "this run needs about");
  EXPECT_FALSE(fs::exists(path("run")));
}

TEST_F(Refusal, RunDirectoryIsAFile) {
  write_text(path("run"), "a file");
  expect_refused({}, 5, "is a file, not a directory");
  EXPECT_EQ(read_text(path("run")), "a file");
  write_text(path("plain"), "a file");
  expect_refused({"run.dir=" + path("plain") + "/below"}, 5, "plain");
}

// mpirun hears of the end of rank 0 late, as on a busy machine: the other rank does not speak too.
TEST_F(Refusal, RunDirectoryThatCannotBe) {
  const std::string long_name = "run.dir=" + path(std::string(300, 'n'));
  for (const char* resume : {"auto", "never"}) {
    expect_refused({long_name, std::string("checkpoint.resume=") + resume}, 5,
                   "File name too long. Check the path.");
  }
}

TEST_F(Refusal, IsSaidOnceHoweverSlowlyRankZeroLeaves) {
  const auto slowly = [](const std::string& seconds, const std::vector<std::string>& words) {
    std::vector<std::string> line{"mpirun", "--oversubscribe", "--bind-to", "none", "-n", "1"};
    line.insert(line.end(),
                {"sh", "-c", "\"$@\"; code=$?; sleep " + seconds + "; exit $code", "-"});
    const std::vector<std::string> program = alone(words);
    line.insert(line.end(), program.begin(), program.end());
    line.insert(line.end(), {":", "-n", "1"});
    line.insert(line.end(), program.begin(), program.end());
    return line;
  };
  // Both ranks find it out for themselves.
  expect_failed(run(slowly("0.3", train("run", {"data.train=" + path("none.txt")}))), 3,
                "none.txt");
  // Rank 0 has told the other one.
  write_text(path("run"), "a file");
  expect_failed(run(slowly("2.5", train("run", {}))), 5, "is a file, not a directory");
}

// A decay of lr x weight_decay = 100 makes every weight grow by 99 a step until it overflows.
TEST_F(Refusal, NotANumberInTheLoss) {
  ASSERT_EQ(run(alone(train("run", {}))).code, 0);
  for (const int ranks : {1, 2}) {
    const auto words =
        train("run", {"optimizer.lr=1000", "optimizer.weight_decay=0.1", "schedule.type=constant",
                      "train.steps=100", "checkpoint.every=50", "eval.every=0", "--force"});
    const Outcome outcome = run(ranks == 1 ? alone(words) : under_mpirun(ranks, words));
    EXPECT_EQ(outcome.code, 6) << outcome.err;
    EXPECT_EQ(occurrences(outcome.err, "error:"), 1) << outcome.err;
    EXPECT_EQ(occurrences(outcome.err, "Lower optimizer.lr (1000"), 1) << outcome.err;
    EXPECT_EQ(outcome.err.find("-nan"), std::string::npos) << outcome.err;
    EXPECT_EQ(occurrences(read_text(path("run") + "/metrics.jsonl"), "\"loss\":null"), 1);
    ASSERT_EQ(run(alone({"report", path("run")})).code, 0);
    EXPECT_EQ(occurrences(read_text(path("run") + "/report.html"),
                          "It did not learn: the loss is not a number at step "),
              1);
    EXPECT_EQ(run(alone({"ckpt", "verify", path("run")})).code, 0);
    EXPECT_TRUE(fs::exists(checkpoint("run", 12)));
    EXPECT_FALSE(fs::exists(checkpoint("run", 50)));
  }
}

// The same run, ended by the last step whose loss is a number: what that step leaves is useless.
TEST_F(Refusal, NotANumberInTheHeldOutLoss) {
  const auto to = [&](int steps, const std::string& every) {
    return train("run", {"optimizer.lr=1000", "optimizer.weight_decay=0.1",
                         "schedule.type=constant", "train.steps=" + std::to_string(steps),
                         "checkpoint.every=0", "eval.every=" + every, "checkpoint.resume=never"});
  };
  const Outcome diverged = run(alone(to(100, "0")));
  ASSERT_EQ(diverged.code, 6) << diverged.err;
  const size_t at = diverged.err.find("error: step ");
  ASSERT_NE(at, std::string::npos) << diverged.err;
  const int last = std::stoi(diverged.err.substr(at + 12)) - 1;
  const Outcome outcome = run(under_mpirun(2, to(last, std::to_string(last))));
  EXPECT_EQ(outcome.code, 6) << outcome.err;
  EXPECT_EQ(occurrences(outcome.err, "error:"), 1) << outcome.err;
  EXPECT_EQ(occurrences(outcome.err, "the held-out loss is "), 1) << outcome.err;
  EXPECT_EQ(outcome.err.find("-nan"), std::string::npos) << outcome.err;
  ASSERT_EQ(run(alone({"report", path("run")})).code, 0);
  EXPECT_EQ(occurrences(read_text(path("run") + "/report.html"),
                        "It did not learn: the held-out loss is not a number at step "),
            1);
  EXPECT_FALSE(fs::exists(checkpoint("run", last)));
  ASSERT_EQ(run(alone(to(last, "0"))).code, 0);
  expect_failed(run(under_mpirun(2, {"eval", path("run"), "--json"})), 6, "ckpt ls");
}

// Root may write anywhere, so the directory lies on a file system that is mounted read-only, or
// full, in a mount namespace of its own.
class Mounted : public Refusal {
 protected:
  void SetUp() override {
    Refusal::SetUp();
    fs::create_directory(path("disk"));
    if (run({"unshare", "-m", "true"}).code != 0) GTEST_SKIP() << "no mount namespaces here";
  }
  std::vector<std::string> with_disk(const std::string& preparation,
                                     const std::vector<std::string>& command) const {
    std::vector<std::string> words{"unshare", "-m", "sh", "-c", preparation + " && exec \"$@\"",
                                   "sh"};
    words.insert(words.end(), command.begin(), command.end());
    return words;
  }
  std::string tmpfs(const std::string& options) const {
    return "mount -t tmpfs -o " + options + " none " + path("disk");
  }
};

TEST_F(Mounted, ReadOnlyDirectory) {
  const auto words = train("disk/run", {});
  const std::string read_only = tmpfs("ro");
  expect_failed(run(with_disk(read_only, alone(words))), 5, "disk/run");
  expect_failed(run(with_disk(read_only, under_mpirun(2, words))), 5, "disk/run");
}

TEST_F(Mounted, ReadOnlyDirectoryOfAnEarlierRun) {
  const std::string prepared = tmpfs("size=8m") + " && " + alone({})[0] + " train " +
                               path("tiny.yaml") + " run.dir=" + path("disk/run") +
                               " train.steps=4 2> /dev/null && mount -o remount,ro " + path("disk");
  const auto words = train("disk/run", {});
  expect_failed(run(with_disk(prepared, alone(words))), 5, "disk/run");
  expect_failed(run(with_disk(prepared, under_mpirun(2, words))), 5, "disk/run");
}

TEST_F(Mounted, DiskFullDuringASave) {
  // Room for about three checkpoints.
  const std::string size = "size=" + std::to_string(700) + "k";
  const auto words = train("disk/run", {"train.steps=100", "checkpoint.every=1", "eval.every=0"});
  for (const int ranks : {1, 2}) {
    const auto command = ranks == 1 ? alone(words) : under_mpirun(ranks, words);
    const std::string name = "kept/run" + std::to_string(ranks);
    const std::string kept = path(name);
    auto line = with_disk(tmpfs(size), {"sh", "-c",
                                        "\"$@\"; code=$?; mkdir -p " + path("kept") + "; cp -r " +
                                            path("disk/run") + " " + kept + "; exit $code",
                                        "sh"});
    line.insert(line.end(), command.begin(), command.end());
    const Outcome outcome = run(line);
    EXPECT_EQ(outcome.code, 5) << outcome.err;
    EXPECT_EQ(occurrences(outcome.err, "error:"), 1) << outcome.err;
    EXPECT_EQ(occurrences(outcome.err, "error: not enough space in "), 1) << outcome.err;
    EXPECT_EQ(run(alone({"ckpt", "verify", kept})).code, 0);
    // With room again, the run goes on.
    const auto rest = train(name, {"train.steps=12", "checkpoint.every=0"});
    const Outcome resumed = run(ranks == 1 ? alone(rest) : under_mpirun(ranks, rest));
    EXPECT_EQ(resumed.code, 0) << resumed.err;
  }
}

// A write that fails although there is space: the save ends it, on both ranks with one code.
TEST_F(Refusal, FileSizeLimit) {
  for (const int ranks : {1, 2}) {
    const auto words = train("run", {"train.steps=4", "checkpoint.every=2", "eval.every=0"});
    std::vector<std::string> line{"sh", "-c", "ulimit -f 40; exec \"$@\"", "sh"};
    auto command = alone(words);
    command.insert(command.begin(), line.begin(), line.end());
    if (ranks == 2) {
      const auto job = under_mpirun(2, {});
      command.insert(command.begin(), job.begin(), job.end() - 1);
    }
    const Outcome outcome = run(command);
    EXPECT_EQ(outcome.code, 5) << outcome.err;
    // OpenMPI says something of its own about the limit.
    EXPECT_EQ(occurrences(outcome.err, "error: cannot write"), 1) << outcome.err;
    EXPECT_FALSE(fs::exists(checkpoint("run", 2)));
  }
}

}  // namespace
}  // namespace troupe::program
