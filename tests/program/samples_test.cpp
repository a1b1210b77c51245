// The samples of configs/parallel: each starts as its own comment says, and all of them train the
// same model. Those of configs/papers start as their comments say.
#include <algorithm>
#include <filesystem>
#include <regex>

#include "tests/program/tiny_run.h"

namespace troupe::program {
namespace {

namespace fs = std::filesystem;

class Samples : public TinyRun {};

std::vector<std::string> sample_files(const std::string& folder) {
  std::vector<std::string> files;
  for (const auto& entry : fs::directory_iterator(TROUPE_SOURCE_DIR "/configs/" + folder)) {
    if (entry.path().extension() == ".yaml") files.push_back(entry.path().string());
  }
  std::sort(files.begin(), files.end());
  return files;
}

// The ranks of the sample's own launch line; 0 if it has none.
int ranks_of(const std::string& file) {
  std::smatch found;
  const std::string text = read_text(file);
  const std::regex line("# +troupe launch -n ([0-9]+) train configs/[a-z]+/" +
                        fs::path(file).filename().string());
  return std::regex_search(text, found, line) ? std::stoi(found[1]) : 0;
}

// Of a file, for the name of its test.
std::string stem(const testing::TestParamInfo<std::string>& info) {
  return std::regex_replace(fs::path(info.param).stem().string(), std::regex("[^A-Za-z0-9]"), "_");
}

class ParallelSamples : public Samples, public testing::WithParamInterface<std::string> {
 protected:
  // The held-out loss after two steps of the sample.
  double trained(const std::string& file, const std::string& name, int ranks,
                 const std::vector<std::string>& keys = {}) const {
    std::vector<std::string> words{"train",
                                   file,
                                   "run.dir=" + path(name),
                                   "train.steps=2",
                                   "eval.tokens=2048",
                                   "logging.every=1",
                                   "runtime.threads=1"};
    words.insert(words.end(), keys.begin(), keys.end());
    const Outcome outcome = run(under_mpirun(ranks, words));
    EXPECT_EQ(outcome.code, 0) << outcome.err;
    const std::vector<nlohmann::json> steps = rows(name);
    EXPECT_EQ(steps.size(), 2u);
    return steps.empty() ? 0 : steps.back()["val_loss"].get<double>();
  }
};

// As one rank trains the first of them.
TEST_P(ParallelSamples, TrainTheSameModel) {
  const int ranks = ranks_of(GetParam());
  ASSERT_GE(ranks, 2);
  const double expected =
      trained(sample_files("parallel").front(), "alone", 1, {"parallel={dp: 1}"});
  // f32: sums in other orders
  EXPECT_NEAR(trained(GetParam(), "ranks", ranks), expected, 1e-6 * expected);
}

INSTANTIATE_TEST_SUITE_P(Samples, ParallelSamples, testing::ValuesIn(sample_files("parallel")),
                         stem);

TEST_F(Samples, AreAtLeastTen) { EXPECT_GE(sample_files("parallel").size(), 10u); }

class PaperSamples : public Samples, public testing::WithParamInterface<std::string> {};

TEST_P(PaperSamples, Train) {
  const int ranks = ranks_of(GetParam());
  ASSERT_GE(ranks, 1);
  const Outcome check = run(alone({"check", GetParam(), "--ranks", std::to_string(ranks)}));
  EXPECT_EQ(check.code, 0) << check.err;
  EXPECT_EQ(check.err.find("warning"), std::string::npos) << check.err;
  const Outcome outcome = run(under_mpirun(
      ranks, {"train", GetParam(), "run.dir=" + path("run"), "train.steps=2", "schedule.warmup=1",
              "eval.tokens=512", "logging.every=1", "runtime.threads=1"}));
  ASSERT_EQ(outcome.code, 0) << outcome.err;
  const std::vector<nlohmann::json> steps = rows("run");
  ASSERT_EQ(steps.size(), 2u);
  EXPECT_LT(steps.back()["val_loss"].get<double>(), 6.0);  // ln 256 is 5.5
}

INSTANTIATE_TEST_SUITE_P(Samples, PaperSamples, testing::ValuesIn(sample_files("papers")), stem);

}  // namespace
}  // namespace troupe::program
