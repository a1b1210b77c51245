// What is done with a trained model: eval, generate and the looks into files, as a user calls them.
#include <algorithm>
#include <cmath>
#include <filesystem>
#include <sstream>

#include "tests/program/tiny_run.h"

namespace troupe::program {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;

// stdout must be one JSON object and nothing else.
json object_of(const Outcome& outcome) {
  EXPECT_FALSE(outcome.out.empty()) << outcome.err;
  const json value = json::parse(outcome.out, nullptr, /*allow_exceptions=*/false);
  EXPECT_TRUE(value.is_object()) << outcome.out;
  return value;
}

class Use : public TinyRun {
 protected:
  void SetUp() override {
    TinyRun::SetUp();
    const Outcome outcome = run(under_mpirun(2, train("run", {"parallel.ep=2"})));
    ASSERT_EQ(outcome.code, 0) << outcome.err;
  }
  std::vector<std::string> generate(const std::vector<std::string>& options) const {
    std::vector<std::string> words{"generate", path("run")};
    words.insert(words.end(), options.begin(), options.end());
    return alone(words);
  }
};

bool is_utf8(const std::string& text) {
  return !json(text).dump(-1, ' ', false, json::error_handler_t::ignore).empty() &&
         json(text).dump(-1, ' ', false, json::error_handler_t::replace) ==
             json(text).dump(-1, ' ', false, json::error_handler_t::ignore);
}

TEST_F(Use, EvalGivesOneValueOnAnyNumberOfRanks) {
  const json trained = rows("run").back();
  ASSERT_TRUE(trained.contains("val_loss")) << trained;
  std::vector<double> values;
  for (const int ranks : {1, 2, 3}) {
    const std::vector<std::string> words{"eval", path("run"), "--json"};
    const Outcome outcome = run(ranks == 1 ? alone(words) : under_mpirun(ranks, words));
    EXPECT_EQ(outcome.code, 0) << outcome.err;
    const json value = object_of(outcome);
    values.push_back(value["nats_per_token"]);
    EXPECT_EQ(value["step"], 12);
    EXPECT_EQ(value["tokens"], 800);  // of 801 held-out bytes all but the first are predicted
    EXPECT_NEAR(value["bits_per_byte"].get<double>(), values.back() / std::log(2.0), 1e-12);
    EXPECT_NEAR(value["perplexity"].get<double>(), std::exp(values.back()), 1e-9);
  }
  EXPECT_EQ(values[0], values[1]);
  EXPECT_EQ(values[0], values[2]);
  EXPECT_EQ(values[0], trained["val_loss"].get<double>());
}

// The end table's commands are to be copied into a shell, whatever the directory is called.
TEST_F(Use, TheCommandsAtTheEndWorkAsPrinted) {
  const Outcome trained = run(alone(train("it's a run", {"train.steps=6"})));
  ASSERT_EQ(trained.code, 0) << trained.err;
  const size_t next = trained.err.find("next:\n");
  ASSERT_NE(next, std::string::npos) << trained.err;
  std::istringstream lines(trained.err.substr(next));
  int commands = 0;
  for (std::string line; std::getline(lines, line);) {
    if (line.rfind("  ", 0) != 0) continue;
    ++commands;
    const Outcome outcome = run({"sh", "-c", line});
    EXPECT_EQ(outcome.code, 0) << line << "\n" << outcome.err;
  }
  EXPECT_EQ(commands, 3) << trained.err;
}

TEST_F(Use, CommandsOfOneRankSpeakOnceUnderMpirun) {
  object_of(run(under_mpirun(2, {"check", path("tiny.yaml"), "--json"})));
  object_of(run(under_mpirun(2, {"ckpt", "ls", path("run"), "--json"})));
  const Outcome report = run(under_mpirun(2, {"report", path("run")}));
  EXPECT_EQ(report.code, 0) << report.err;
  EXPECT_EQ(occurrences(report.out, "report.html"), 1) << report.out;
  const Outcome none = run(under_mpirun(2, {"ckpt", "ls", path("none")}));
  EXPECT_EQ(none.code, 4) << none.err;
  EXPECT_EQ(occurrences(none.err, "error:"), 1) << none.err;
  const Outcome help = run(under_mpirun(2, {}));
  EXPECT_EQ(help.code, 0) << help.err;
  EXPECT_EQ(occurrences(help.out, "usage: troupe COMMAND"), 1) << help.out;
  const Outcome nested = run(under_mpirun(2, {"launch", "-n", "2", "train", path("tiny.yaml")}));
  EXPECT_EQ(nested.code, 2) << nested.err;
  EXPECT_EQ(occurrences(nested.err, "error: launch starts mpirun itself"), 1) << nested.err;
}

// Groups of two sequences: also when a rank would get one sequence of a batch, and with an odd
// number of windows, the last of which is short.
TEST_F(Use, EvalKeepsGroupsOfSequencesWhole) {
  for (const char* group : {"moe.group={across: batch, sequences: 2}", "moe.group=32"}) {
    SCOPED_TRACE(group);
    const std::string name = std::string("run") + group[10];
    const Outcome trained = run(
        under_mpirun(2, train(name, {group, "moe.router={type: switch}", "moe.capacity_factor=1",
                                     "train.micro_batch=2", "train.steps=6", "eval.tokens=330"})));
    ASSERT_EQ(trained.code, 0) << trained.err;
    const double value = rows(name).back()["val_loss"];
    for (const int ranks : {1, 3, 4}) {
      const Outcome outcome = run(under_mpirun(ranks, {"eval", path(name), "--json"}));
      EXPECT_EQ(outcome.code, 0) << outcome.err;
      EXPECT_EQ(object_of(outcome)["nats_per_token"].get<double>(), value) << ranks;
    }
  }
}

TEST_F(Use, EvalOfOtherThings) {
  write_text(path("other.txt"), "the king speaks of the actor and waits again\n");
  const Outcome text = run(alone({"eval", path("run"), "--text", path("other.txt"), "--json"}));
  EXPECT_EQ(text.code, 0) << text.err;
  EXPECT_EQ(object_of(text)["tokens"], 44);
  EXPECT_EQ(object_of(text)["text_bytes"], 44);
  const Outcome older = run(alone({"eval", checkpoint("run", 4), "--json"}));
  EXPECT_EQ(older.code, 0) << older.err;
  EXPECT_EQ(object_of(older)["step"], 4);
  EXPECT_EQ(run(alone({"eval", path("run"), "--text", path("none.txt")})).code, 3);
  EXPECT_EQ(run(alone({"eval", path("none")})).code, 4);
}

TEST_F(Use, GenerateFollowsItsSeed) {
  const auto text = [&](const std::vector<std::string>& options) {
    const Outcome outcome = run(generate(options));
    EXPECT_EQ(outcome.code, 0) << outcome.err;
    return outcome.out;
  };
  const std::string one = text({"--tokens", "60", "--seed", "1"});
  EXPECT_EQ(one, text({"--tokens", "60", "--seed", "1"}));
  EXPECT_NE(one, text({"--tokens", "60", "--seed", "2"}));
  const std::string greedy = text({"--tokens", "60", "--temperature", "0", "--seed", "1"});
  EXPECT_EQ(greedy, text({"--tokens", "60", "--temperature", "0", "--seed", "2"}));
  EXPECT_EQ(greedy, text({"--tokens", "60", "--top-k", "1"}));
}

TEST_F(Use, GenerateTakesItsPromptFromStandardInput) {
  const std::string prompt = "the king\nspeaks";
  const Outcome given = run(generate({"--prompt", prompt, "--tokens", "40", "--temperature", "0"}));
  const Outcome piped =
      run(generate({"--prompt", "-", "--tokens", "40", "--temperature", "0"}), prompt);
  EXPECT_EQ(given.code, 0) << given.err;
  EXPECT_EQ(given.out, piped.out);
  EXPECT_EQ(given.out.rfind(prompt, 0), 0U) << given.out;
}

// An empty prompt is a prompt: the text begins where texts begin, which for bytes is a new line.
TEST_F(Use, GenerateTakesAnEmptyPrompt) {
  const Outcome none = run(generate({"--tokens", "40", "--temperature", "0"}));
  ASSERT_EQ(none.code, 0) << none.err;
  for (const std::vector<std::string>& prompt :
       {std::vector<std::string>{"--prompt="}, std::vector<std::string>{"--prompt", ""}}) {
    std::vector<std::string> options{"--tokens", "40", "--temperature", "0"};
    options.insert(options.end(), prompt.begin(), prompt.end());
    const Outcome empty = run(generate(options));
    EXPECT_EQ(empty.code, 0) << empty.err;
    EXPECT_EQ(empty.out, none.out);
  }
  const Outcome piped = run(generate({"--prompt=-", "--tokens", "40", "--temperature", "0"}), "");
  EXPECT_EQ(piped.out, none.out);
  const Outcome line = run(generate({"--prompt", "\n", "--tokens", "40", "--temperature", "0"}));
  EXPECT_EQ(line.out, "\n" + none.out);
  const Outcome text = run(alone({"eval", path("run"), "--text="}));
  EXPECT_EQ(text.code, 2) << text.out;
  EXPECT_NE(text.err.find("--text is empty; give FILE"), std::string::npos) << text.err;
}

// At a high temperature all bytes come up, also those that are no UTF-8.
TEST_F(Use, GenerateWritesWholeCharacters) {
  const Outcome outcome = run(generate({"--tokens", "300", "--temperature", "50"}));
  EXPECT_EQ(outcome.code, 0) << outcome.err;
  EXPECT_TRUE(is_utf8(outcome.out)) << outcome.out;
  EXPECT_NE(outcome.out.find("\xef\xbf\xbd"), std::string::npos) << outcome.out;
}

TEST_F(Use, GenerateIsForOneRank) {
  EXPECT_EQ(run(under_mpirun(2, {"generate", path("run")})).code, 2);
  EXPECT_EQ(run(alone({"generate", path("none")})).code, 4);
}

// Experts that choose among all tokens of a sequence see later ones.
TEST_F(Use, ExpertChoiceSaysThatItSeesTheFuture) {
  const std::vector<std::string> router{"moe.router={type: expert_choice}", "moe.capacity_factor=1",
                                        "train.steps=3", "moe.balance=[{type: z, coef: 0.001}]"};
  const auto with = [&](std::vector<std::string> more) {
    more.insert(more.begin(), router.begin(), router.end());
    return more;
  };
  const Outcome trained = run(alone(train("future", with({}))));
  ASSERT_EQ(trained.code, 0) << trained.err;
  std::vector<std::string> check = train("future", with({"--json"}));
  check[0] = "check";
  const Outcome checked = run(alone(check));
  EXPECT_EQ(checked.code, 0);
  EXPECT_NE(object_of(checked)["warnings"].dump().find("future"), std::string::npos) << checked.out;
  const Outcome evaluated = run(alone({"eval", path("future"), "--json"}));
  EXPECT_EQ(evaluated.code, 0);
  EXPECT_EQ(occurrences(evaluated.err, "sees the future"), 1) << evaluated.err;
  object_of(evaluated);
  const Outcome refused = run(alone({"generate", path("future"), "--tokens", "5"}));
  EXPECT_EQ(refused.code, 2);
  EXPECT_TRUE(refused.out.empty());
  EXPECT_NE(refused.err.find("--allow-noncausal"), std::string::npos) << refused.err;
  const Outcome allowed =
      run(alone({"generate", path("future"), "--tokens", "5", "--allow-noncausal"}));
  EXPECT_EQ(allowed.code, 0) << allowed.err;
  EXPECT_NE(allowed.err.find("warning"), std::string::npos) << allowed.err;

  const std::string across = "moe.group={across: batch, sequences: 2}";
  const Outcome causal = run(alone(train("causal", with({across, "train.micro_batch=2"}))));
  ASSERT_EQ(causal.code, 0) << causal.err;
  const Outcome written = run(alone({"generate", path("causal"), "--tokens", "5"}));
  EXPECT_EQ(written.code, 0) << written.err;
  EXPECT_EQ(occurrences(written.err, "warning"), 0) << written.err;
  EXPECT_EQ(occurrences(run(alone({"eval", path("causal")})).err, "future"), 0);
}

TEST_F(Use, JsonIsOneObject) {
  ASSERT_EQ(run(alone({"data", "build", path("text.txt"), "--tokenizer", "byte", "--out",
                       path("tokens")}))
                .code,
            0);
  const std::vector<std::vector<std::string>> commands{
      {"version"},
      {"check", path("tiny.yaml")},
      {"eval", path("run")},
      {"ckpt", "ls", path("run")},
      {"ckpt", "show", path("run")},
      {"ckpt", "verify", path("run")},
      {"ckpt", "diff", checkpoint("run", 4), checkpoint("run", 4)},
      {"data", "inspect", path("tokens")},
      {"data", "verify", path("tokens")},
  };
  for (std::vector<std::string> words : commands) {
    words.emplace_back("--json");
    const Outcome outcome = run(alone(words));
    SCOPED_TRACE(words[0] + " " + words[1]);
    EXPECT_EQ(outcome.code, 0) << outcome.err;
    object_of(outcome);
  }
  // A difference and an error keep stdout clean, too.
  const Outcome differs =
      run(alone({"ckpt", "diff", checkpoint("run", 4), checkpoint("run", 8), "--json"}));
  EXPECT_EQ(differs.code, 8);
  EXPECT_EQ(object_of(differs)["equal"], false);
  const Outcome missing = run(alone({"eval", path("none"), "--json"}));
  EXPECT_EQ(missing.code, 4);
  EXPECT_TRUE(missing.out.empty()) << missing.out;
}

// The rate is measured before the second step: a run of one step does not wait for it.
TEST_F(Use, RowsStandBesideTheMatrixRateFromTheSecondOn) {
  const Outcome outcome = run(alone(
      {"train", path("tiny.yaml"), "run.dir=" + path("two"), "train.steps=2", "logging.every=1"}));
  ASSERT_EQ(outcome.code, 0) << outcome.err;
  std::istringstream lines(read_text(path("two") + "/metrics.jsonl"));
  std::vector<double> fractions;
  for (std::string line; std::getline(lines, line);)
    fractions.push_back(json::parse(line)["gemm_fraction"]);
  ASSERT_EQ(fractions.size(), 2U);
  EXPECT_EQ(fractions[0], 0);
  EXPECT_GT(fractions[1], 0);
}

// Measuring the machine's rate takes its time.
class LongUse : public Use {};
TEST_F(LongUse, JsonOfBenchIsOneObject) {
  const std::chrono::minutes limit(10);  // products of 2048: some seconds of one core, alone
  const Outcome gemm = run(alone({"bench", "gemm", "--json"}), {}, limit);
  EXPECT_EQ(gemm.code, 0) << gemm.err;
  for (const char* type : {"f64", "f32", "bf16"}) {
    EXPECT_GT(object_of(gemm)[type]["flops_per_second"], 0) << type;
    EXPECT_GT(object_of(gemm)[type]["fma_peak"], 0) << type;
  }
  EXPECT_TRUE(object_of(gemm)["machine"]["busy"].is_boolean()) << gemm.out;
  const Outcome step =
      run(alone({"bench", "step", path("tiny.yaml"), "--steps", "2", "--warmup", "1", "--json"}),
          {}, limit);
  EXPECT_EQ(step.code, 0) << step.err;
  const json value = object_of(step);
  for (const char* key : {"tokens_per_s", "step_ms", "peak_fraction", "fma_peak", "gemm_fraction",
                          "gemm_rate", "mem_peak_bytes"}) {
    EXPECT_GT(value[key], 0) << key;
  }
  EXPECT_TRUE(value["gemm_shape"].is_string()) << value;
  EXPECT_TRUE(value["machine"]["busy"].is_boolean()) << value;
}

// Made-up routing on several ranks has what the router makes of it beside it.
TEST_F(LongUse, BalancedRoutingStandsBesideNatural) {
  const Outcome step =
      run(under_mpirun(2, {"bench", "step", path("tiny.yaml"), "bench.routing=balanced",
                           "parallel.ep=2", "--steps", "2", "--warmup", "1", "--json"}),
          {}, std::chrono::minutes(10));
  EXPECT_EQ(step.code, 0) << step.err;
  const json value = object_of(step);
  EXPECT_DOUBLE_EQ(value["rank_load_max_over_mean"], 1.0);
  EXPECT_GT(value["natural"]["tokens_per_s"], 0);
  EXPECT_GT(value["natural"]["rank_load_max_over_mean"], 1.0);
}

TEST_F(Use, JsonOfTheOtherBenchesIsOneObject) {
  const json generate = object_of(run(alone(
      {"bench", "generate", path("tiny.yaml"), "--tokens", "4", "--repeats", "1", "--json"})));
  EXPECT_GT(generate["tokens_per_s"], 0);
  EXPECT_GT(generate["bound_tokens_per_s"], 0);
  EXPECT_TRUE(generate["machine"]["busy"].is_boolean()) << generate;
  const json tokenizer =
      object_of(run(alone({"bench", "tokenizer", "byte", "--repeats", "1", "--json"})));
  EXPECT_GT(tokenizer["encode_bytes_per_s"], 0);
  EXPECT_GT(tokenizer["byte_encode_bytes_per_s"], 0);
  const json checkpoint =
      object_of(run(alone({"bench", "checkpoint", path("tiny.yaml"), "--repeats", "1", "--json"})));
  EXPECT_GT(checkpoint["save_bytes_per_s"], 0);
  EXPECT_GT(checkpoint["disk_write_bytes_per_s"], 0);
}

// One rank, and two that share the experts: there a skewed load is one of ranks, too.
TEST_F(Use, BenchStepComparesAllRoutings) {
  for (const int ranks : {1, 2}) {
    SCOPED_TRACE(ranks);
    const std::vector<std::string> words{"bench",
                                         "step",
                                         path("tiny.yaml"),
                                         "--routing",
                                         "all",
                                         "--steps",
                                         "2",
                                         "--warmup",
                                         "1",
                                         "--json",
                                         "parallel.ep=" + std::to_string(ranks)};
    const Outcome outcome = run(ranks == 1 ? alone(words) : under_mpirun(ranks, words));
    EXPECT_EQ(outcome.code, 0) << outcome.err;
    const json value = object_of(outcome);
    ASSERT_EQ(value.size(), 3U) << value;
    EXPECT_EQ(value["balanced"]["of_balanced"], 1.0);
    EXPECT_EQ(value["balanced"]["expert_load_max_over_mean"], 1.0);
    EXPECT_GT(value["natural"]["step_ms"], 0);
    EXPECT_GT(value["zipf"]["expert_load_max_over_mean"], 1.2);
    if (ranks == 1) continue;
    EXPECT_EQ(value["balanced"]["rank_load_max_over_mean"], 1.0);
    EXPECT_GT(value["zipf"]["rank_load_max_over_mean"], 1.1);
  }
  const Outcome wrong = run(alone({"bench", "step", path("tiny.yaml"), "--routing", "zipff"}));
  EXPECT_EQ(wrong.code, 2);
  EXPECT_NE(wrong.err.find("did you mean zipf"), std::string::npos) << wrong.err;
}

TEST_F(Use, NextCommandsCanBePasted) {
  const Outcome outcome = run(alone(train("a b", {"train.steps=1"})));
  EXPECT_EQ(outcome.code, 0) << outcome.err;
  EXPECT_EQ(occurrences(outcome.err, "troupe eval '" + path("a b") + "'"), 1) << outcome.err;
}

TEST_F(Use, DryRunLeavesNothing) {
  const Outcome outcome = run(alone(train("dry", {"--dry-run"})));
  EXPECT_EQ(outcome.code, 0) << outcome.err;
  EXPECT_NE(outcome.out.find("3202 tokens to train on"), std::string::npos) << outcome.out;
  EXPECT_FALSE(fs::exists(path("dry")));
  EXPECT_EQ(run(alone(train("dry", {"--dry-run", "data.train=" + path("none")}))).code, 3);
}

// Ranks on other machines have other environments: the leader's holds.
TEST_F(Use, PathsAreExpandedOnTheLeader) {
  const std::string command = "if [ $OMPI_COMM_WORLD_RANK = 0 ]; then export PLACE='" +
                              path("cost-$5 #3") +
                              "'; else export PLACE=/proc/nowhere; fi; exec \"$@\"";
  std::vector<std::string> words = under_mpirun(2, train("x", {"train.steps=4"}));
  const auto program = std::find(words.begin(), words.end(), "train") - 1;
  for (std::string& word : words) {
    if (word.rfind("run.dir=", 0) == 0) word = "run.dir=$PLACE/x";
  }
  words.insert(program, {"sh", "-c", command, "sh"});
  const Outcome trained = run(words);
  ASSERT_EQ(trained.code, 0) << trained.err;
  EXPECT_TRUE(fs::exists(path("cost-$5 #3/x/config.resolved.yaml")));
  // The variable is gone, the directory is not: a stored configuration is never expanded.
  std::vector<std::string> again{"train", path("cost-$5 #3/x/config.resolved.yaml"),
                                 "train.steps=6"};
  const Outcome resumed = run(under_mpirun(2, again));
  EXPECT_EQ(resumed.code, 0) << resumed.err;
  EXPECT_TRUE(fs::exists(path("cost-$5 #3/x/checkpoints/step-00000006.h5"))) << resumed.err;
  const Outcome unset = run(alone(train("y", {"data.val=$NO_SUCH_VARIABLE/x"})));
  EXPECT_EQ(unset.code, 2);
  EXPECT_NE(unset.err.find("NO_SUCH_VARIABLE is not set"), std::string::npos) << unset.err;
}

}  // namespace
}  // namespace troupe::program
