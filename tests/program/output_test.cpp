// Standard output that cannot be written, or that nobody reads.
#include <filesystem>

#include "tests/program/tiny_run.h"

namespace troupe::program {
namespace {

namespace fs = std::filesystem;

class Output : public TinyRun {
 protected:
  void SetUp() override {
    TinyRun::SetUp();
    ASSERT_EQ(run(alone(train("run", {"train.steps=4", "eval.every=0"}))).code, 0);
    ASSERT_EQ(run(alone({"data", "build", path("text.txt"), "--tokenizer", "byte", "--out",
                         path("tokens")}))
                  .code,
              0);
  }
  // troupe WORDS..., its descriptors led elsewhere by a shell.
  static Outcome shell(const std::string& line, const std::vector<std::string>& words) {
    std::vector<std::string> all{"bash", "-c", line, "bash"};
    for (const std::string& word : alone(words)) all.push_back(word);
    return run(all);
  }
  // Every command that is done in a moment, and writes to standard output.
  std::vector<std::vector<std::string>> commands() const {
    const std::string config = path("tiny.yaml");
    const std::string checkpoints = path("run") + "/checkpoints/step-00000004.h5";
    return {{"help"},
            {"--help"},
            {"help", "train.steps"},
            {"train", "--help"},
            {"ckpt", "--help"},
            {"version"},
            {"version", "--json"},
            {"check", config},
            {"check", config, "--json"},
            {"layout", config, "--ranks", "2"},
            {"train", config, "--dry-run"},
            {"eval", path("run")},
            {"eval", path("run"), "--json"},
            {"generate", path("run"), "--tokens", "3"},
            {"report", path("run")},
            {"data", "build", path("text.txt"), "--tokenizer", "byte", "--out", path("built")},
            {"data", "inspect", path("tokens")},
            {"data", "inspect", path("tokens"), "--json"},
            {"data", "verify", path("tokens")},
            {"ckpt", "ls", path("run")},
            {"ckpt", "show", path("run")},
            {"ckpt", "show", path("run"), "--config"},
            {"ckpt", "verify", path("run")},
            {"ckpt", "diff", checkpoints, checkpoints},
            {"bench", "tokenizer", "byte", "--text", path("text.txt")},
            {"launch", "-n", "2", "--print", "train", config}};
  }
};

TEST_F(Output, OfEveryCommandOnAFullDiskIsAnErrorOfTheDisk) {
  for (const std::vector<std::string>& words : commands()) {
    const Outcome outcome = shell("\"$@\" > /dev/full", words);
    SCOPED_TRACE(words[0] + " " + (words.size() > 1 ? words[1] : ""));
    EXPECT_EQ(outcome.code, 5) << outcome.err;
    EXPECT_EQ(occurrences(outcome.err, "cannot write standard output: No space left on device"), 1)
        << outcome.err;
    EXPECT_EQ(occurrences(outcome.err, "bug"), 0) << outcome.err;
  }
  // An error is said on stderr and weighs more; a difference is lost with what was printed of it.
  const Outcome damaged = shell("\"$@\" > /dev/full", {"ckpt", "verify", path("text.txt")});
  EXPECT_EQ(damaged.code, 4) << damaged.err;
  ASSERT_EQ(run(alone(train("other", {"train.steps=4", "eval.every=0", "run.seed=8"}))).code, 0);
  const std::string file = "/checkpoints/step-00000004.h5";
  const std::vector<std::string> two{"ckpt", "diff", path("run") + file, path("other") + file};
  ASSERT_EQ(run(alone(two)).code, 8);
  const Outcome differs = shell("\"$@\" > /dev/full", two);
  EXPECT_EQ(differs.code, 5) << differs.err;
}

TEST_F(Output, FilesAreWrittenThoughStandardOutputIsFull) {
  EXPECT_EQ(shell("\"$@\" > /dev/full",
                  {"layout", path("tiny.yaml"), "--ranks", "2", "--svg", path("layout.svg")})
                .code,
            5);
  EXPECT_TRUE(fs::exists(path("layout.svg")));
}

TEST_F(Output, AReaderThatGoesIsNoError) {
  for (const std::vector<std::string>& words : commands()) {
    const Outcome outcome = shell("\"$@\" | true; exit ${PIPESTATUS[0]}", words);
    SCOPED_TRACE(words[0] + " " + (words.size() > 1 ? words[1] : ""));
    EXPECT_TRUE(outcome.code == 0 || outcome.code == 141) << outcome.code << outcome.err;
    EXPECT_EQ(occurrences(outcome.err, "error"), 0) << outcome.err;
  }
}

TEST_F(Output, AClosedOneGetsNoFileOfTheRun) {
  for (const std::vector<std::string>& words : commands()) {
    const Outcome outcome = shell("\"$@\" >&- <&- 2>&-", words);
    SCOPED_TRACE(words[0] + " " + (words.size() > 1 ? words[1] : ""));
    EXPECT_EQ(outcome.code, 0);
  }
  EXPECT_EQ(shell("\"$@\" >&- <&- 2>&-", train("closed", {"train.steps=4"})).code, 0);
  const Outcome verified = run(alone({"ckpt", "verify", path("closed")}));
  EXPECT_EQ(verified.code, 0) << verified.out << verified.err;
}

TEST_F(Output, TrainingGoesOnWhereItsLinesAreLost) {
  for (const char* line :
       {"\"$@\" > /dev/full 2> /dev/full", "\"$@\" 2>&1 | true; exit ${PIPESTATUS[0]}"}) {
    fs::remove_all(path("silent"));
    EXPECT_EQ(shell(line, train("silent", {})).code, 0);
    EXPECT_EQ(rows("silent").size(), 12U);
    EXPECT_EQ(run(alone({"ckpt", "verify", path("silent")})).code, 0);
  }
}

}  // namespace
}  // namespace troupe::program
