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

TEST_F(Samples, AllLayoutsTrainTheSameModel) {
  const std::vector<std::string> files = sample_files("parallel");
  ASSERT_GE(files.size(), 10u);
  double expected = 0;
  for (const std::string& file : files) {
    SCOPED_TRACE(file);
    const std::string name = fs::path(file).stem().string();
    const int ranks = ranks_of(file);
    ASSERT_GE(ranks, 2);
    const Outcome outcome =
        run(under_mpirun(ranks, {"train", file, "run.dir=" + path(name), "train.steps=2",
                                 "eval.tokens=2048", "logging.every=1", "runtime.threads=1"}));
    ASSERT_EQ(outcome.code, 0) << outcome.err;
    const std::vector<nlohmann::json> steps = rows(name);
    ASSERT_EQ(steps.size(), 2u);
    const double value = steps.back()["val_loss"];
    if (expected == 0) expected = value;
    EXPECT_NEAR(value, expected, 1e-6 * expected);  // f32: sums in other orders
  }
}

TEST_F(Samples, OfPapersTrain) {
  const std::vector<std::string> files = sample_files("papers");
  ASSERT_FALSE(files.empty());
  for (const std::string& file : files) {
    SCOPED_TRACE(file);
    const std::string name = fs::path(file).stem().string();
    const int ranks = ranks_of(file);
    ASSERT_GE(ranks, 1);
    const Outcome check = run(alone({"check", file, "--ranks", std::to_string(ranks)}));
    EXPECT_EQ(check.code, 0) << check.err;
    EXPECT_EQ(check.err.find("warning"), std::string::npos) << check.err;
    const Outcome outcome = run(under_mpirun(
        ranks, {"train", file, "run.dir=" + path(name), "train.steps=2", "schedule.warmup=1",
                "eval.tokens=512", "logging.every=1", "runtime.threads=1"}));
    ASSERT_EQ(outcome.code, 0) << outcome.err;
    const std::vector<nlohmann::json> steps = rows(name);
    ASSERT_EQ(steps.size(), 2u);
    EXPECT_LT(steps.back()["val_loss"].get<double>(), 6.0);  // ln 256 is 5.5
  }
}

}  // namespace
}  // namespace troupe::program
