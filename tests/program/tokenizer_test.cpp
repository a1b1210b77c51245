// Tokenizers and what ends a text, as a user meets them.
#include <cmath>
#include <filesystem>

#include "tests/program/tiny_run.h"

namespace troupe::program {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;

class Tokenizers : public TinyRun {
 protected:
  void SetUp() override {
    TinyRun::SetUp();
    fs::copy(std::string(TROUPE_SOURCE_DIR) + "/tests/core/text/data/folders/qwen2", path("tok"));
    std::string rows;
    for (int i = 0; i < 60; ++i) rows += "{\"text\": \"abcd\"}\n";
    write_text(path("r.jsonl"), rows);
  }
  std::vector<std::string> train_rows(const std::string& name, std::vector<std::string> keys) {
    keys.insert(keys.begin(), {"data.train=" + path("r.jsonl"), "train.steps=4"});
    return train(name, keys);
  }
};

TEST_F(Tokenizers, RowsEndWithTheTokenThatTheFilesName) {
  const std::string tokenizer = "data.tokenizer=" + path("tok");
  const Outcome trained = run(alone(train_rows("run", {tokenizer})));
  ASSERT_EQ(trained.code, 0) << trained.err;
  EXPECT_EQ(trained.err.find("nothing between them"), std::string::npos) << trained.err;
  const std::string resolved = read_text(path("run/config.resolved.yaml"));
  EXPECT_NE(resolved.find("end_of_text: \"<|im_end|>\""), std::string::npos) << resolved;
  const Outcome evaluated = run(alone({"eval", path("run"), "--json"}));
  ASSERT_EQ(evaluated.code, 0) << evaluated.err;
  const std::string end = json::parse(evaluated.out)["end_of_text"];
  EXPECT_NE(end.find("<|im_end|> ("), std::string::npos) << end;
  EXPECT_NE(end.find("tokenizer_config.json: eos_token)"), std::string::npos) << end;
  EXPECT_EQ(run(alone({"generate", path("run"), "--tokens", "5"})).code, 0);
  const Outcome changed =
      run(alone(train_rows("run", {tokenizer, "data.end_of_text=none", "train.steps=6"})));
  EXPECT_EQ(changed.code, 2) << changed.err;
  EXPECT_NE(changed.err.find("data.end_of_text: was \"<|im_end|>\", is none"), std::string::npos)
      << changed.err;
  const Outcome unknown = run(alone(train_rows("other", {tokenizer, "data.end_of_text=<stop>"})));
  EXPECT_EQ(unknown.code, 3) << unknown.err;
  EXPECT_NE(unknown.err.find("has no token \"<stop>\""), std::string::npos) << unknown.err;
}

TEST_F(Tokenizers, JoinedRowsAreSaidOnce) {
  const Outcome trained = run(under_mpirun(2, train_rows("run", {})));
  ASSERT_EQ(trained.code, 0) << trained.err;
  EXPECT_EQ(occurrences(trained.err, "data.separator"), 1) << trained.err;
}

TEST_F(Tokenizers, ASeparatorIsNoByteOfText) {
  const Outcome trained = run(alone(train_rows("run", {R"(data.separator="\n")"})));
  ASSERT_EQ(trained.code, 0) << trained.err;
  EXPECT_EQ(trained.err.find("nothing between them"), std::string::npos) << trained.err;
  const Outcome built = run(alone({"data", "build", path("r.jsonl"), "--tokenizer", "byte",
                                   "--separator", R"(\n)", "--out", path("d")}));
  ASSERT_EQ(built.code, 0) << built.err;
  for (const std::string& text : {path("r.jsonl"), path("d")}) {
    const Outcome outcome = run(alone({"eval", path("run"), "--text", text, "--json"}));
    ASSERT_EQ(outcome.code, 0) << outcome.err;
    const json value = json::parse(outcome.out);
    const double nats = value["nats_per_token"];
    EXPECT_EQ(value["tokens"], 60 * 5 - 1);
    EXPECT_NEAR(value["bits_per_byte"].get<double>(),
                nats * (60 * 5 - 1) / std::log(2.0) / (60 * 4 - 1), 1e-12);
    EXPECT_EQ(value["end_of_text"], "separator \"\\n\"");
  }
}

// There are no bits per byte where no byte is predicted, and nothing to train on either.
TEST_F(Tokenizers, TextOfWhichNothingIsPredictedHasNoBitsPerByte) {
  const std::string mask = "data.mask_documents=true";
  const Outcome trained = run(alone(train_rows("run", {R"(data.separator="\n")", mask})));
  ASSERT_EQ(trained.code, 0) << trained.err;
  write_text(path("one.jsonl"), "{\"text\": \"a\"}\n{\"text\": \"b\"}\n");
  const Outcome outcome = run(alone({"eval", path("run"), "--text", path("one.jsonl"), "--json"}));
  ASSERT_EQ(outcome.code, 0) << outcome.err;
  const json value = json::parse(outcome.out);
  EXPECT_EQ(value["tokens"], 2);  // the separators
  EXPECT_EQ(value["text_bytes"], 0);
  EXPECT_TRUE(value["bits_per_byte"].is_null()) << outcome.out;
  const Outcome shown = run(alone({"eval", path("run"), "--text", path("one.jsonl")}));
  EXPECT_NE(shown.out.find("none: no byte of text is predicted"), std::string::npos) << shown.out;

  std::string rows;
  for (int i = 0; i < 500; ++i) rows += "{\"text\": \"a\"}\n";
  write_text(path("ones.jsonl"), rows);
  const Outcome nothing =
      run(alone(train("other", {"data.train=" + path("ones.jsonl"), "data.val_fraction=0",
                                "eval.every=0", "train.steps=2", mask})));
  EXPECT_EQ(nothing.code, 3) << nothing.err;
  EXPECT_NE(nothing.err.find("nothing of the text to train on is predicted"), std::string::npos)
      << nothing.err;
}

// What data.separator says, --separator says.
TEST_F(Tokenizers, SeparatorNoneIsNone) {
  const Outcome built = run(alone({"data", "build", path("r.jsonl"), "--tokenizer", "byte",
                                   "--separator", "none", "--out", path("d"), "--json"}));
  ASSERT_EQ(built.code, 0) << built.err;
  EXPECT_EQ(json::parse(built.out)["tokens"], 60 * 4);
}

// What changes ids and cannot be done is one message, before anything is made.
TEST_F(Tokenizers, WhatCannotBeReadRightIsRefusedByName) {
  write_text(path("tok/tokenizer_config.json"), R"({"tokenizer_class": "WhisperTokenizer"})");
  const Outcome outcome = run(alone(train_rows("run", {"data.tokenizer=" + path("tok")})));
  EXPECT_EQ(outcome.code, 3) << outcome.err;
  EXPECT_NE(outcome.err.find("tokenizer_class \"WhisperTokenizer\""), std::string::npos)
      << outcome.err;
  EXPECT_FALSE(fs::exists(path("run")));
}

}  // namespace
}  // namespace troupe::program
