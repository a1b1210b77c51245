// data.end_of_text and data.separator from the configuration to the texts, and on resume.
#include <gtest/gtest.h>

#include "launch/config/resolved.h"
#include "launch/config/resume.h"
#include "launch/training/training_data.h"
#include "tests/core/text/fixtures.h"
#include "tests/launch/config/support/sound.h"

namespace troupe {
namespace {

using test::data_path;
using test::expect_error;
using test::read_text;
using test::TemporaryDirectory;
using test::write_text;

// A tokenizer whose end of text is <eos>, and rows.
class EndOfTextOfRuns : public testing::Test {
 protected:
  void SetUp() override {
    std::string file = read_text(data_path("small_json/gpt2.json"));
    const std::string name = "<|endoftext|>";
    file.replace(file.find(name), name.size(), "<eos>");
    write_text(folder_ / "tok.json", file);
    std::string rows;
    for (int i = 0; i < 40; ++i) rows += "{\"text\": \"some words of a row\"}\n";
    write_text(folder_ / "r.jsonl", rows);
  }
  RunConfig config(std::vector<std::string> more = {}) {
    more.insert(more.begin(), {"data.tokenizer=" + (folder_ / "tok.json"),
                               "data.train=" + (folder_ / "r.jsonl")});
    return load(more);
  }
  // As a checkpoint has it, without lines that contain `key`.
  RunConfig stored(const RunConfig& config, const std::string& key) {
    std::stringstream text(resolved_yaml(config, {.for_checkpoint = true}));
    std::string kept;
    for (std::string line; std::getline(text, line);)
      if (key.empty() || line.find(key) == std::string::npos) kept += line + "\n";
    return load_config_text(kept, "runs/small/checkpoints/step-00000005.h5", {}, 0).config;
  }
  TemporaryDirectory folder_;
};

TEST_F(EndOfTextOfRuns, TheTokenIsInTheResolvedConfiguration) {
  RunConfig run = config();
  const TrainingData data = open_training_data(run);
  EXPECT_EQ(data.corpus.joined, 0);
  EXPECT_NE(describe(data).find("end of text <eos>"), std::string::npos) << describe(data);
  EXPECT_NE(resolved_yaml(run).find("end_of_text: \"<eos>\""), std::string::npos);
  RunConfig again = config();
  open_training_data(again);
  EXPECT_NO_THROW(check_resume(stored(run, ""), again, 5, false));
  for (const char* change : {"data.end_of_text=none", "data.separator=x"})
    EXPECT_THROW(check_resume(stored(run, ""), config({change}), 5, false), Error) << change;
}

TEST_F(EndOfTextOfRuns, RowsWithoutAnEndAreCounted) {
  RunConfig run = config({"data.end_of_text=none"});
  EXPECT_EQ(open_training_data(run).corpus.joined, 40);
  RunConfig separated = config({"data.end_of_text=none", "data.separator=--"});
  const TrainingData data = open_training_data(separated);
  EXPECT_EQ(data.corpus.joined, 0);
  EXPECT_NE(describe(data).find("separator \"--\""), std::string::npos) << describe(data);
}

TEST_F(EndOfTextOfRuns, ARunFromBeforeTheKeyGoesOnAsItBegan) {
  RunConfig run = config();
  const TrainingData data = open_training_data(run);
  const RunConfig before = stored(run, "end_of_text");
  EXPECT_EQ(before.data.end_of_text, "auto");
  EXPECT_NO_THROW(check_resume(before, run, 5, false));
  EXPECT_TRUE(keep_end_of_text(run, before, false));  // <eos> was none of the names then
  EXPECT_EQ(run.data.end_of_text, "none");
  EXPECT_LT(open_training_data(run).corpus.train.tokens(), data.corpus.train.tokens());
  EXPECT_NO_THROW(check_resume(stored(run, ""), run, 5, false));
  // Asked for in so many words, it is another run.
  RunConfig asked = config({"data.end_of_text=<eos>"});
  expect_error(ExitCode::usage, "began without that key",
               [&] { keep_end_of_text(asked, before, false); });
  EXPECT_FALSE(keep_end_of_text(asked, before, true));
  // Nothing changes where the token is the one of then, and where the key was stored.
  RunConfig bytes = load({"data.tokenizer=byte", "data.train=" + (folder_ / "r.jsonl")});
  open_training_data(bytes);
  EXPECT_FALSE(keep_end_of_text(bytes, stored(bytes, "end_of_text"), false));
  RunConfig now = config();
  open_training_data(now);
  EXPECT_FALSE(keep_end_of_text(now, stored(now, ""), false));
}

}  // namespace
}  // namespace troupe
