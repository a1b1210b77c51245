// Commands as the program runs them: exit codes, stdout for results, stderr for messages.
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "launch/app/command_table.h"
#include "launch/config/schema.h"

namespace troupe {
namespace {

struct Result {
  int code = 0;
  std::string out;
  std::string err;
};

Result run(const std::vector<std::string>& words) {
  Result result;
  testing::internal::CaptureStdout();
  testing::internal::CaptureStderr();
  result.code = run_program(words);
  result.out = testing::internal::GetCapturedStdout();
  result.err = testing::internal::GetCapturedStderr();
  return result;
}

bool contains(const std::string& text, const std::string& part) {
  return text.find(part) != std::string::npos;
}

const std::string kSample = std::string(TROUPE_SOURCE_DIR) + "/configs/tiny/shakespeare.yaml";

TEST(Program, AlonePrintsHelp) {
  const Result result = run({});
  EXPECT_EQ(result.code, 0);
  EXPECT_TRUE(result.err.empty());
  for (const Command& command : commands()) {
    EXPECT_TRUE(contains(result.out, "  " + command.name + " "));
  }
  EXPECT_EQ(run({"--help"}).out, result.out);
  EXPECT_EQ(run({"help"}).out, result.out);
}

TEST(Program, UnknownCommand) {
  const Result result = run({"tarin"});
  EXPECT_EQ(result.code, 2);
  EXPECT_TRUE(contains(result.err, "did you mean train?")) << result.err;
  EXPECT_TRUE(result.out.empty());
}

TEST(Program, EveryCommandHasHelp) {
  for (const Command& command : commands()) {
    const Result result = run({command.name, "--help"});
    EXPECT_EQ(result.code, 0) << command.name;
    EXPECT_TRUE(contains(result.out, "usage: troupe " + command.name)) << command.name;
  }
}

TEST(Program, Version) {
  EXPECT_TRUE(contains(run({"version"}).out, "troupe " TROUPE_VERSION));
  EXPECT_EQ(nlohmann::json::parse(run({"version", "--json"}).out)["version"], TROUPE_VERSION);
}

TEST(Program, HelpOnKeys) {
  const Result key = run({"help", "moe.capacity_factor"});
  EXPECT_EQ(key.code, 0);
  EXPECT_TRUE(contains(key.out, "default:   none"));
  EXPECT_TRUE(contains(run({"help", "train"}).out, "train.global_batch"));
  const Result wrong = run({"help", "capacity_facto"});
  EXPECT_EQ(wrong.code, 2);
  EXPECT_TRUE(contains(wrong.err, "did you mean capacity_factor?"));
}

TEST(Program, CheckAsJson) {
  const Result result = run({"check", kSample, "--json", "train.steps=7"});
  EXPECT_EQ(result.code, 0);
  const auto json = nlohmann::json::parse(result.out);
  EXPECT_EQ(json["ranks"], 2);
  EXPECT_TRUE(json["parameters"].is_number_integer());
  EXPECT_LT(json["active_parameters"], json["parameters"]);
  EXPECT_GT(json["memory"]["total_bytes"], 0);
  EXPECT_GT(json["comm_bytes_per_step"], 0);
  EXPECT_EQ(json["config"]["train.steps"]["value"], 7);
  EXPECT_EQ(json["config"]["train.steps"]["origin"], "command line");
  EXPECT_TRUE(contains(json["config"]["model.dim"]["origin"], "shakespeare.yaml:15:"));
}

TEST(Program, CheckForPeople) {
  const Result result = run({"check", kSample, "train.micro_batch=2", "--ranks", "4"});
  EXPECT_EQ(result.code, 0);
  EXPECT_TRUE(contains(result.out, "dp: 4 "));
  EXPECT_TRUE(contains(result.out, "auto -> 4"));
  // The file once, then places in it.
  EXPECT_TRUE(contains(result.out, "  dim: 128 ")) << result.out;
  EXPECT_TRUE(contains(result.out, "  # 15:")) << result.out;
  const size_t named = result.out.find("shakespeare.yaml");
  ASSERT_NE(named, std::string::npos);
  EXPECT_EQ(result.out.find("shakespeare.yaml", named + 1), std::string::npos) << result.out;
  EXPECT_TRUE(contains(result.out, "memory of the heaviest rank"));
}

TEST(Program, CheckRefuses) {
  const Result ranks = run({"check", kSample, "--ranks", "3"});
  EXPECT_EQ(ranks.code, 2);
  EXPECT_TRUE(contains(ranks.err, "parallel.ep = 2")) << ranks.err;
  const std::string two = run({"check", kSample, "model.dim=7", "train.steps=0"}).err;
  EXPECT_TRUE(contains(two, "shakespeare.yaml: ")) << two;
  EXPECT_EQ(two.find("shakespeare.yaml"), two.rfind("shakespeare.yaml")) << two;
  EXPECT_TRUE(ranks.out.empty());
  EXPECT_EQ(run({"check", "none.yaml"}).code, 2);
  EXPECT_EQ(run({"check"}).code, 2);
  EXPECT_EQ(run({"check", kSample, "data.tokenizer=none.json"}).code, 3);
}

TEST(Program, LaunchChecksBeforeItStarts) {
  const Result wrong = run({"launch", "-n", "3", "train", kSample});
  EXPECT_EQ(wrong.code, 2);
  EXPECT_TRUE(contains(wrong.err, "must be a multiple of ep x etp = 2 x 1")) << wrong.err;
  const Result line = run({"launch", "--print", "train", kSample, "train.steps=3"});
  EXPECT_EQ(line.code, 0);
  EXPECT_TRUE(contains(line.out, "mpirun --quiet -n 2 --bind-to none")) << line.out;
  EXPECT_EQ(run({"launch", "eval", "dir"}).code, 2);
  EXPECT_EQ(run({"launch", "nonsense"}).code, 2);
}

}  // namespace
}  // namespace troupe
