// The samples of configs/parallel: each starts as its own comment says, and all of them train the
// same model.
#include <algorithm>
#include <filesystem>
#include <regex>

#include "tests/program/tiny_run.h"

namespace troupe::program {
namespace {

namespace fs = std::filesystem;

class Samples : public TinyRun {};

std::vector<std::string> sample_files() {
  std::vector<std::string> files;
  for (const auto& entry : fs::directory_iterator(TROUPE_SOURCE_DIR "/configs/parallel")) {
    if (entry.path().extension() == ".yaml") files.push_back(entry.path().string());
  }
  std::sort(files.begin(), files.end());
  return files;
}

// The ranks of the sample's own launch line; 0 if it has none.
int ranks_of(const std::string& file) {
  std::smatch found;
  const std::string text = read_text(file);
  const std::regex line("# +troupe launch -n ([0-9]+) train configs/parallel/" +
                        fs::path(file).filename().string());
  return std::regex_search(text, found, line) ? std::stoi(found[1]) : 0;
}

TEST_F(Samples, AllLayoutsTrainTheSameModel) {
  const std::vector<std::string> files = sample_files();
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

}  // namespace
}  // namespace troupe::program
