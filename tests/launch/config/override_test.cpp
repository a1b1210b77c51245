// key=value of the command line: the value is the text behind the first '=', to its last character.
#include "launch/config/override.h"

#include <gtest/gtest.h>

#include "tests/launch/config/support/sound.h"

namespace troupe {
namespace {

TEST(Override, TheValueIsTheWholeText) {
  for (const std::string text : {"runs/exp #3", "a #",    "#1",     " two  blanks ", "a: b",
                                 "a: {b",       "- item", "*star",  "&and",          "|",
                                 ">",           "%x",     "@x",     "`x`",           "a=b=c",
                                 "a # b: [c",   "?",      "-",      "null",          "~x",
                                 "true",        "3",      "a'b\"c", "x\\ny"}) {
    EXPECT_EQ(load({"run.dir=" + text}).run.dir, text);
    EXPECT_EQ(load({"data.train=" + text}).data.train.at(0).path, text);
    EXPECT_EQ(load({"data.train=a.jsonl", "data.field=" + text}).data.text.field, text);
  }
}

TEST(Override, WhatItBeginsWithMakesItYaml) {
  EXPECT_EQ(load({"run.dir='runs/a #3'"}).run.dir, "runs/a #3");
  EXPECT_EQ(load({"run.dir='it''s # here'"}).run.dir, "it's # here");
  EXPECT_EQ(load({"run.dir=\"a \\\" #\\x41\""}).run.dir, "a \" #A");
  EXPECT_EQ(load({"data.train=[{path: 'a #1', weight: 2}, {path: b#2}]"}).data.train.at(0).path,
            "a #1");
  EXPECT_EQ(load({"data.train=[{path: it's, weight: 2}]"}).data.train.at(0).path, "it's");
  EXPECT_EQ(load({"optimizer.betas=[0.8, 0.9]"}).optimizer.optimizer_options.reals("betas"),
            (std::vector<double>{0.8, 0.9}));
  EXPECT_NE(refusal({"run.name=!!str a"}).find("tags (tag:yaml.org,2002:str) are not accepted"),
            std::string::npos);
}

// Nothing of a value is dropped as a comment.
TEST(Override, NoCommentEndsAValue) {
  for (const char* given : {"run.dir='a' #3", "run.dir=\"a\" # b", "optimizer.betas=[0.8, 0.9] # x",
                            "optimizer.betas=[0.8, # x\n0.9]", "data.train=[{path: a #1}]",
                            "data.train=[{path: it's #1}]", "parallel={dp: 1} #"}) {
    EXPECT_NE(refusal({given}).find("begins no comment here"), std::string::npos)
        << given << "\n"
        << refusal({given});
  }
}

// A value that begins with a quote is a text in quotes, or says what it lacks and how it is meant.
TEST(Override, QuotesAroundAPartAreExplained) {
  const auto expect = [](const std::string& value, const std::string& rule,
                         const std::string& written) {
    const std::string said = refusal({"run.name=" + value});
    EXPECT_NE(said.find(": " + rule), std::string::npos) << said;
    EXPECT_NE(said.find("write " + written + " if the quotes belong to the value"),
              std::string::npos)
        << said;
    EXPECT_EQ(load({"run.name=" + written}).run.name, value);
  };
  expect("'a'b", "b stands behind the closing quote", R"("'a'b")");
  expect("'a''b'c", "c stands behind the closing quote", R"("'a''b'c")");
  expect(R"("a" b)", " b stands behind the closing quote", R"('"a" b')");
  expect(R"("a"'b')", "'b' stands behind the closing quote", R"('"a"''b''')");
  expect("'a", "the quote ' at its beginning is not closed", R"("'a")");
  expect(R"("a\")", "the quote \" at its beginning is not closed", R"('"a\"')");
  EXPECT_EQ(refusal({R"(run.name="\q")"}).find("closing quote"), std::string::npos);
}

TEST(Override, AnEmptyValueIsAnEmptyText) {
  EXPECT_NE(refusal({"run.dir="}).find("run.dir: must not be empty"), std::string::npos)
      << refusal({"run.dir="});
  EXPECT_NE(refusal({"data.train="}).find("must not be empty"), std::string::npos);
  EXPECT_NE(refusal({"train.steps="}).find("train.steps: has no value (expected: integer"),
            std::string::npos)
      << refusal({"train.steps="});
  EXPECT_NE(refusal({"runtime.timeout="}).find("has no value"), std::string::npos);
  EXPECT_NE(refusal({"optimizer.betas="}).find("has no value"), std::string::npos);
}

// The schema of the key decides what the text is.
TEST(Override, TypesComeFromTheKey) {
  const RunConfig config =
      load({"train.steps=1_000", "run.seed= 12 ", "optimizer.lr=3e-4", "model.qk_norm=true",
            "runtime.timeout=1h30m", "eval.tokens=64k", "checkpoint.shard_above=2Mi",
            "optimizer.clip=none", "moe.capacity_factor=1.5", "parallel.dp=auto", "run.name=007",
            "precision.compute=bf16", "data.val=none"});
  EXPECT_EQ(config.train.steps, 1000);
  EXPECT_EQ(config.run.seed, 12U);
  EXPECT_EQ(config.optimizer.lr, 3e-4);
  EXPECT_TRUE(config.model.qk_norm);
  EXPECT_EQ(config.runtime.timeout, std::chrono::minutes(90));
  EXPECT_EQ(config.eval.tokens, 64000);
  EXPECT_EQ(config.checkpoint.shard_above, 2 << 20);
  EXPECT_EQ(config.optimizer.clip, 0.0);
  EXPECT_EQ(config.run.name, "007");
  EXPECT_EQ(config.data.val, "");
  EXPECT_EQ(load({"moe=none"}).model.moe.at(0).has_value(), false);
  EXPECT_EQ(load({"logging=null"}).logging.every, 10);
  EXPECT_NE(refusal({"train.steps=3 # three"}).find("not a number"), std::string::npos);
}

}  // namespace
}  // namespace troupe
