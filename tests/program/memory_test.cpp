// What `check` predicts, what a run counts and what its process takes from the system are one.
#include <algorithm>
#include <sstream>

#include "tests/program/tiny_run.h"

namespace troupe::program {
namespace {

using nlohmann::json;

struct Case {
  std::string precision;
  std::string capacity;
  int ranks;
};

void PrintTo(const Case& c, std::ostream* out) {
  *out << c.precision << " " << c.capacity << " ep " << c.ranks;
}

class Memory : public TinyRun, public testing::WithParamInterface<Case> {
 protected:
  // Largest resident memory of each rank, in bytes.
  std::vector<double> peaks(const std::string& name, const std::vector<std::string>& words) const {
    const int ranks = GetParam().ranks;
    std::vector<std::string> line = ranks == 1 ? alone(words) : under_mpirun(ranks, words);
    const auto program = std::find(line.begin(), line.end(), TROUPE_BINARY_DIR "/troupe");
    line.insert(program, {TROUPE_BINARY_DIR "/tests/peak_memory", path(name)});
    const Outcome outcome = run(line);
    EXPECT_EQ(outcome.code, 0) << outcome.err;
    std::vector<double> out;
    for (int rank = 0; rank < ranks; ++rank) {
      out.push_back(std::stod("0" + read_text(path(name) + "." + std::to_string(rank))));
    }
    return out;
  }
  std::vector<std::string> words(std::vector<std::string> keys) const {
    const Case& c = GetParam();
    keys.insert(keys.end(),
                {"precision.compute=" + c.precision, "moe.capacity_factor=" + c.capacity,
                 "parallel.ep=" + std::to_string(c.ranks)});
    return train("run", keys);
  }
};

// A vocabulary of 50k and enough width and tokens that every part has its share. The same program
// that only reads its configuration and data is what the growth counts from.
TEST_P(Memory, EstimateCountAndProcessAgree) {
  const Case& c = GetParam();
  const std::vector<std::string> keys =
      words({"model={family: decoder, layers: 3, dim: 256, heads: 4, kv_heads: 2, ffn_dim: 512, "
             "seq_len: 256, vocab: 50257}",
             "moe.ffn_dim=512", "train.global_batch=" + std::to_string(2 * c.ranks),
             "train.micro_batch=2", "train.steps=2", "checkpoint.every=0", "eval.every=0"});
  std::vector<std::string> dry = keys;
  dry.emplace_back("--dry-run");
  const std::vector<double> before = peaks("before", dry);
  const std::vector<double> after = peaks("after", keys);
  double growth = 0;
  for (size_t rank = 0; rank < after.size(); ++rank) {
    growth = std::max(growth, after[rank] - before[rank]);
  }
  std::vector<std::string> check = keys;
  check[0] = "check";
  check.insert(check.end(), {"--ranks", std::to_string(c.ranks), "--json"});
  const double estimate = json::parse(run(alone(check)).out)["memory"]["total_bytes"];
  std::istringstream lines(read_text(path("run") + "/metrics.jsonl"));
  double counted = 0;
  for (std::string line; std::getline(lines, line);) {
    counted = std::max(counted, json::parse(line)["mem_peak_bytes"].get<double>());
  }
  RecordProperty("estimate", std::to_string(estimate));
  RecordProperty("counted", std::to_string(counted));
  RecordProperty("growth", std::to_string(growth));
  EXPECT_GT(counted, 400e6);
  EXPECT_NEAR(estimate, counted, 0.10 * counted);
  EXPECT_NEAR(counted, growth, 0.15 * growth + 100e6) << "estimate " << estimate;
}

// Where the model is small the fixed needs of each thread count, and nothing but the model may: the
// matrices that the machine's rate is measured with are larger than all of it.
class SmallMemory : public TinyRun {};
TEST_F(SmallMemory, EstimateAndCountAgree) {
  for (const char* threads : {"1", "3"}) {
    const std::vector<std::string> words =
        train(std::string("run") + threads,
              {"model.dim=32", "model.seq_len=32", "moe.ffn_dim=24", "train.micro_batch=2",
               "train.steps=2", std::string("runtime.threads=") + threads});
    ASSERT_EQ(run(alone(words)).code, 0);
    std::vector<std::string> check = words;
    check[0] = "check";
    check.emplace_back("--json");
    const double estimate = json::parse(run(alone(check)).out)["memory"]["total_bytes"];
    std::istringstream lines(read_text(path(std::string("run") + threads) + "/metrics.jsonl"));
    double counted = 0;
    for (std::string line; std::getline(lines, line);) {
      counted = std::max(counted, json::parse(line)["mem_peak_bytes"].get<double>());
    }
    EXPECT_NEAR(estimate, counted, 0.10 * counted) << threads << " threads";
  }
}

INSTANTIATE_TEST_SUITE_P(Layouts, Memory,
                         testing::Values(Case{"f32", "none", 1}, Case{"f32", "none", 2},
                                         Case{"f32", "1.25", 1}, Case{"f32", "1.25", 2},
                                         Case{"bf16", "none", 1}, Case{"bf16", "none", 2},
                                         Case{"bf16", "1.25", 1}, Case{"bf16", "1.25", 2}),
                         [](const auto& info) {
                           return info.param.precision +
                                  (info.param.capacity == "none" ? "_dropless" : "_capacity") +
                                  "_ep" + std::to_string(info.param.ranks);
                         });

}  // namespace
}  // namespace troupe::program
