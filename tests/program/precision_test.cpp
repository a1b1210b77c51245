// precision.compute: auto on processors that multiply bf16 and on those that do not.
#include "tests/program/tiny_run.h"

namespace troupe::program {
namespace {

class Precision : public TinyRun {
 protected:
  // As on a processor without bf16.
  static std::vector<std::string> narrow(const std::vector<std::string>& words) {
    std::vector<std::string> all{"env", "TROUPE_MAX_ISA=avx2"};
    all.insert(all.end(), words.begin(), words.end());
    return all;
  }
  static std::string instructions_here() {
    return nlohmann::json::parse(run(alone({"version", "--json"})).out)["instructions"];
  }
  std::string resolved(const std::string& name) const {
    return read_text(path(name) + "/config.resolved.yaml");
  }
  void expect(const Outcome& outcome, const std::string& banner) const {
    EXPECT_EQ(outcome.code, 0) << outcome.err;
    EXPECT_EQ(occurrences(outcome.err, ", " + banner + " by "), 1) << outcome.err;
  }
};

TEST_F(Precision, AutoIsF32WithoutHardwareAndStaysSo) {
  const std::vector<std::string> automatic{"precision.compute=auto", "train.steps=4"};
  expect(run(narrow(alone(train("run", automatic)))), "f32 (auto)");
  EXPECT_EQ(occurrences(resolved("run"), "compute: f32 "), 1) << resolved("run");
  EXPECT_EQ(occurrences(resolved("run"), "auto -> f32, command line"), 1) << resolved("run");
  const Outcome here = run(alone(train("run", {"precision.compute=auto", "train.steps=6"})));
  expect(here, "f32 (auto)");
  EXPECT_EQ(occurrences(here.err, "multiplies"), 0) << here.err;
  EXPECT_EQ(occurrences(resolved("run"), "auto -> f32, command line"), 1) << resolved("run");
}

TEST_F(Precision, ARunInBf16GoesOnInItOnSlowerHardwareWithAWarning) {
  expect(run(alone(train("run", {"precision.compute=bf16", "train.steps=4"}))), "bf16");
  const Outcome slow =
      run(narrow(alone(train("run", {"precision.compute=auto", "train.steps=6"}))));
  expect(slow, "bf16 (auto)");
  EXPECT_EQ(occurrences(slow.err, "the run goes on in the precision that it began with"), 1)
      << slow.err;
  EXPECT_EQ(occurrences(resolved("run"), "auto -> bf16, command line"), 1) << resolved("run");
}

TEST_F(Precision, Bf16AskedForWithoutHardwareIsWarnedOf) {
  const Outcome outcome =
      run(narrow(alone(train("run", {"precision.compute=bf16", "train.steps=2"}))));
  expect(outcome, "bf16");
  EXPECT_EQ(occurrences(outcome.err, "auto or f32 is the better choice"), 1) << outcome.err;
}

// The slower of two processors decides for both ranks.
TEST_F(Precision, TheRanksAgree) {
  const std::vector<std::string> words =
      alone(train("run", {"precision.compute=auto", "train.steps=2", "parallel.ep=2",
                          "checkpoint.resume=never"}));
  for (const bool first : {true, false}) {
    std::vector<std::string> line{"mpirun", "--oversubscribe", "--bind-to", "none"};
    for (const bool slow : {first, !first}) {
      if (line.back() != "none") line.emplace_back(":");
      line.insert(line.end(), {"-n", "1"});
      const std::vector<std::string> rank = slow ? narrow(words) : words;
      line.insert(line.end(), rank.begin(), rank.end());
    }
    const Outcome outcome = run(line);
    expect(outcome, "f32 (auto)");
    // Both are named, whichever the leader is.
    const std::string wide = instructions_here();
    if (wide == "avx2") continue;
    const std::string both = fmt::format("f32 (auto) by avx2 (rank {}), {} (rank {})",
                                         first ? 0 : 1, wide, first ? 1 : 0);
    EXPECT_EQ(occurrences(outcome.err, both), 1) << both << "\n" << outcome.err;
  }
}

TEST_F(Precision, CheckShowsTheChoice) {
  const Outcome outcome =
      run(narrow(alone({"check", path("tiny.yaml"), "precision.compute=auto"})));
  EXPECT_EQ(outcome.code, 0) << outcome.err;
  EXPECT_EQ(occurrences(outcome.out, "auto -> f32, command line"), 1) << outcome.out;
}

}  // namespace
}  // namespace troupe::program
