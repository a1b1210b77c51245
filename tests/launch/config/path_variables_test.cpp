// $NAME, ${NAME} and ~/ in the paths of a configuration.
#include "launch/config/path_variables.h"

#include <gtest/gtest.h>

#include "launch/config/help.h"
#include "launch/config/resolved.h"
#include "launch/config/resume.h"
#include "tests/launch/config/support/sound.h"

namespace troupe {
namespace {

const Environment kEnvironment = told_environment({{"HOME", "/home/me"},
                                                   {"SCRATCH", "/scratch/me"},
                                                   {"S_1", "one"},
                                                   {"MONEY", "/a/$SCRATCH/${S_1}"},
                                                   {"EMPTY", ""},
                                                   {"LINE", "a\nb"},
                                                   {"LONG", std::string(3000, 'x')},
                                                   {"WORD", "byte"}});

std::string expanded(const std::string& path) {
  Problem problem;
  const std::optional<std::string> out = expand_path(path, kEnvironment, problem);
  return out ? *out : problem.rule;
}

RunConfig load_with(const std::string& text, const std::vector<std::string>& overrides = {},
                    const Environment& environment = kEnvironment) {
  return load_config_text(text, "dir/small.yaml", overrides, 1, Purpose::train, environment).config;
}

std::string refused(const std::string& text, const std::vector<std::string>& overrides = {}) {
  try {
    load_with(text, overrides);
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ExitCode::usage);
    return error.what();
  }
  return "accepted";
}

// The sound configuration with these lines in the places of data and run.
std::string with(const std::string& run, const std::string& data) {
  std::string text = kSound;
  text.replace(text.find("seed: 7"), 7, "seed: 7, " + run);
  text.replace(text.find("tokenizer: byte, train: text.txt"), 32, data);
  return text;
}

TEST(PathVariables, NamesAndBraces) {
  EXPECT_EQ(expanded("$SCRATCH/x"), "/scratch/me/x");
  EXPECT_EQ(expanded("${SCRATCH}x"), "/scratch/mex");
  EXPECT_EQ(expanded("a/$S_1-${S_1}.$S_1"), "a/one-one.one");
  EXPECT_EQ(expanded("$SCRATCH$S_1"), "/scratch/meone");
  EXPECT_EQ(expanded("$$S_1"), "$one");
  EXPECT_EQ(expanded("~/x"), "/home/me/x");
  EXPECT_EQ(expanded("~"), "/home/me");
}

TEST(PathVariables, AnyOtherDollarStays) {
  for (const char* path : {"a$", "$", "$1", "a$/b", "$$", "${", "${}", "${S_1", "${S-1}", "${1}",
                           "$ S_1", "a/~/b", "~user/x", "a~", "./~", "cost-$5.txt"}) {
    EXPECT_EQ(expanded(path), path);
  }
}

// Braces end a flow mapping, which YAML itself says in words that do not help.
TEST(PathVariables, BracesInFlowMappingsAreExplained) {
  const std::string text = refused(with("dir: runs", "tokenizer: byte, train: ${S_1}.txt"));
  EXPECT_NE(text.find("inside {...} write $NAME, or quote ${NAME}"), std::string::npos) << text;
}

// A value is not searched again.
TEST(PathVariables, ValuesAreTakenAsTheyAre) {
  EXPECT_EQ(expanded("$MONEY/x"), "/a/$SCRATCH/${S_1}/x");
}

TEST(PathVariables, WhatIsMissingIsNamed) {
  EXPECT_EQ(expanded("$NOWHERE/x"), "the environment variable NOWHERE is not set");
  EXPECT_EQ(expanded("a/${NOT_THERE}"), "the environment variable NOT_THERE is not set");
  EXPECT_EQ(expanded("$EMPTY/x"), "the environment variable EMPTY is empty");
  EXPECT_EQ(expanded("$LINE"), "a\nb");  // any bytes are a path
  EXPECT_NE(expanded("$LONG$LONG").find("is longer than 4096 bytes"), std::string::npos);
  const std::string text =
      refused(with("dir: $NOWHERE/x", "tokenizer: byte, train: \"${GONE}.txt\""));
  EXPECT_NE(text.find("  2:34: run.dir = $NOWHERE/x: the environment variable NOWHERE "
                      "is not set; export NOWHERE=..."),
            std::string::npos)
      << text;
  EXPECT_NE(text.find("data.train = \"${GONE}.txt\": the environment variable GONE is not set"),
            std::string::npos)
      << text;
}

TEST(PathVariables, EveryKeyThatIsAPath) {
  const RunConfig config = load_with(
      with(
          "dir: $SCRATCH/run",
          "tokenizer: \"${S_1}/tok\", val: ~/val.txt, val_fraction: 0, train: [{path: $SCRATCH/a}, "
          "{path: sub/$S_1}]"),
      {"checkpoint.resume=$SCRATCH/c.h5"});
  EXPECT_EQ(config.run.dir, "/scratch/me/run");
  EXPECT_EQ(config.data.tokenizer, "dir/one/tok");  // relative ones to the file, as before
  EXPECT_EQ(config.data.val, "/home/me/val.txt");
  EXPECT_EQ(config.data.train.at(0).path, "/scratch/me/a");
  EXPECT_EQ(config.data.train.at(1).path, "dir/sub/one");
  EXPECT_EQ(config.checkpoint.resume, "/scratch/me/c.h5");
  EXPECT_EQ(load_with(kSound, {"data.train=~/$S_1"}).data.train.at(0).path, "/home/me/one");
}

// Words and texts are no paths, and a path does not become a word.
TEST(PathVariables, OnlyPaths) {
  const RunConfig config = load_with(
      with("dir: runs", "tokenizer: byte, train: a, field: $SCRATCH"), {"run.name=$SCRATCH"});
  EXPECT_EQ(config.data.tokenizer, "byte");
  EXPECT_EQ(config.data.text.field, "$SCRATCH");
  EXPECT_EQ(config.run.name, "$SCRATCH");
  EXPECT_EQ(load_with(kSound, {"data.tokenizer=$WORD"}).data.tokenizer, "./byte");
}

TEST(PathVariables, StoredConfigurationsAreNeverExpandedAgain) {
  const Environment later =
      told_environment({{"SCRATCH", "/elsewhere"}, {"S_1", "two"}, {"HOME", "/x"}});
  const RunConfig first =
      load_with(with("dir: $MONEY/run", "tokenizer: byte, train: $MONEY/~/a.txt, val: ./~"));
  EXPECT_EQ(first.run.dir, "/a/$SCRATCH/${S_1}/run");
  for (const bool for_checkpoint : {false, true}) {
    const std::string text =
        resolved_yaml(first, {.folder = "dir", .for_checkpoint = for_checkpoint});
    const RunConfig again = load_with(text, {}, later);
    EXPECT_EQ(std::filesystem::absolute(again.data.train.at(0).path).lexically_normal(),
              "/a/$SCRATCH/${S_1}/~/a.txt")
        << text;
    EXPECT_EQ(again.data.val, "dir/~");
    if (!for_checkpoint) {
      EXPECT_EQ(again.run.dir, first.run.dir);
    }
    for (const Change& change : changes(first, again)) EXPECT_TRUE(change.allowed) << change.key;
    // What is given beside it comes from the user of now.
    EXPECT_EQ(load_with(text, {"data.val=$SCRATCH/v"}, later).data.val, "/elsewhere/v");
  }
}

// As they were written before variables were known: with the line of the folder alone.
TEST(PathVariables, OlderStoredConfigurations) {
  const std::string text = "# Paths of files are relative to this place, or were so in /x\n" +
                           with("dir: $SCRATCH/x", "tokenizer: byte, train: $SCRATCH/a");
  EXPECT_EQ(load_with(text).run.dir, "$SCRATCH/x");
  EXPECT_EQ(load_with(text).data.train.at(0).path, "dir/$SCRATCH/a");
}

TEST(PathVariables, ShownAndExplained) {
  const std::string text =
      resolved_yaml(load_with(with("dir: $SCRATCH/x", "tokenizer: byte, train: a")));
  EXPECT_NE(text.find("dir: /scratch/me/x "), std::string::npos) << text;
  EXPECT_NE(text.find("# $SCRATCH/x -> /scratch/me/x, 2:34"), std::string::npos) << text;
  for (const char* key : {"run.dir", "data.train", "data.train[].path", "data.val",
                          "data.tokenizer", "checkpoint.resume"}) {
    EXPECT_NE(explain_key(key).find("$NAME, ${NAME} and ~/"), std::string::npos) << key;
  }
  EXPECT_EQ(explain_key("run.name").find("$NAME"), std::string::npos);
}

}  // namespace
}  // namespace troupe
