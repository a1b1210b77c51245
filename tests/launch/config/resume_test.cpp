#include "launch/config/resume.h"

#include <gtest/gtest.h>

#include <algorithm>

#include "launch/config/load.h"
#include "launch/config/resolved.h"
#include "tests/launch/config/support/sound.h"

namespace troupe {
namespace {

std::string refused(const std::vector<std::string>& overrides, int world = 1) {
  try {
    check_resume(load({}), load(overrides, world), 5, false);
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ExitCode::usage);
    return error.what();
  }
  return {};
}

TEST(Resume, WhatMayChange) {
  EXPECT_EQ(refused({"train.steps=20", "checkpoint.every=1", "eval.every=3", "logging.every=1",
                     "runtime.threads=2", "parallel.ep=2", "train.micro_batch=1", "run.dir=other"},
                    4),
            "");
}

TEST(Resume, WhatMayNot) {
  for (const char* change :
       {"model.dim=32", "model.recompute=full", "moe.experts=16", "moe.router.top_k=1",
        "moe.balance[0].scope=microbatch", "moe.capacity_factor=1", "optimizer.lr=1e-4",
        "optimizer.type=sgd", "schedule.type=linear", "schedule.warmup=3", "data.train=b.txt",
        "train.global_batch=16", "precision.compute=bf16", "run.seed=8", "moe=none",
        "optimizer.groups=[{match: '*.router.*', lr_scale: 0.5}]"}) {
    EXPECT_NE(refused({change}), "") << change;
  }
  const std::string message = refused({"model.dim=32", "optimizer.lr=1e-4"});
  EXPECT_NE(message.find("command line: model.dim: was 64, is 32"), std::string::npos) << message;
  EXPECT_NE(message.find("optimizer.lr: was 0.001, is 0.0001"), std::string::npos) << message;
  EXPECT_NE(message.find("--force"), std::string::npos);
}

TEST(Resume, GroupsOfTheOptimizerStay) {
  const std::string groups = "optimizer.groups=[{match: '*.router.*', lr_scale: 0.5}]";
  const RunConfig stored = load({groups});
  // Changed keys of the optimizer against what a checkpoint keeps of it.
  const auto changed = [](const std::string& text, const RunConfig& now) {
    std::vector<std::string> keys;
    const RunConfig before = load_config_text(text, "run/checkpoints/step.h5", {}, 0).config;
    for (const Change& change : changes(before, now)) {
      if (change.key.rfind("optimizer.", 0) == 0) keys.push_back(change.key);
    }
    return keys;
  };
  const std::string text = resolved_yaml(stored, {.for_checkpoint = true});
  EXPECT_TRUE(changed(text, stored).empty());
  EXPECT_FALSE(changed(text, load({})).empty());
  // One that was made before there were groups.
  std::string old = resolved_yaml(load({}), {.for_checkpoint = true});
  const std::string key = "  groups: none\n";
  ASSERT_NE(old.find(key), std::string::npos) << old;
  old.erase(old.find(key), key.size());
  EXPECT_TRUE(changed(old, load({})).empty());
  EXPECT_FALSE(changed(old, stored).empty());
  for (const char* other :
       {"optimizer.groups=none", "optimizer.groups=[{match: '*.router.*', lr_scale: 0.25}]",
        "optimizer.groups=[{match: '*.experts.*', lr_scale: 0.5}]"}) {
    EXPECT_THROW(check_resume(stored, load({other}), 5, false), Error) << other;
  }
}

TEST(Resume, MicroBatchCountsForTermsOfItsScope) {
  const RunConfig stored = load({"moe.balance[0].scope=microbatch"});
  const RunConfig now = load({"moe.balance[0].scope=microbatch", "train.micro_batch=1"});
  EXPECT_THROW(check_resume(stored, now, 0, false), Error);
}

TEST(Resume, ForceWarns) {
  const auto warnings = check_resume(load({}), load({"model.dim=32"}), 5, true);
  ASSERT_FALSE(warnings.empty());
  EXPECT_NE(warnings[0].find("model.dim was 64"), std::string::npos);
}

TEST(Resume, StepsWarnOfTheLearningRate) {
  const std::vector<std::string> short_warmup{"schedule.warmup=1"};
  const RunConfig stored = load(short_warmup);
  const auto warnings =
      check_resume(stored, load({"schedule.warmup=1", "train.steps=100"}), 5, false);
  ASSERT_EQ(warnings.size(), 1U);
  EXPECT_NE(warnings[0].find("learning rate at step 6"), std::string::npos) << warnings[0];
  const auto constant =
      check_resume(load({"schedule={type: constant, warmup: 1}"}),
                   load({"schedule={type: constant, warmup: 1}", "train.steps=100"}), 5, false);
  EXPECT_TRUE(constant.empty());
}

// The text that a checkpoint keeps is what resumes are compared with.
TEST(Resume, AgainstTheTextOfACheckpoint) {
  const RunConfig now = load({"parallel.ep=2"}, 2);
  const std::string text = resolved_yaml(now, {.for_checkpoint = true});
  const RunConfig stored =
      load_config_text(text, "runs/small/checkpoints/step-00000005.h5", {}, 0).config;
  EXPECT_NO_THROW(check_resume(stored, now, 5, false));
}

// Of the inputs of `load()`.
RunConfig with_text(const std::vector<std::string>& overrides, const std::string& kind,
                    uint64_t hash) {
  RunConfig config = load(overrides);
  config.inputs = {{"data.train", kind, hash, "text.txt"}};
  return config;
}

TEST(Resume, BytesCountWhereTheyAreKnownNotPaths) {
  const RunConfig stored = with_text({}, "text", 1);
  EXPECT_TRUE(check_resume(stored, with_text({}, "text", 1), 5, false).empty());
  EXPECT_TRUE(check_resume(stored, with_text({"data.train=b.txt"}, "text", 1), 5, false).empty());
  EXPECT_THROW(check_resume(stored, with_text({}, "text", 2), 5, false), Error);
  EXPECT_THROW(check_resume(stored, with_text({}, "jsonl", 1), 5, false), Error);
  const auto warnings = check_resume(stored, with_text({}, "text", 2), 5, true);
  ASSERT_EQ(warnings.size(), 1U);
  EXPECT_NE(warnings[0].find("text.txt (fingerprint 0000000000000001) in the stored run and is "
                             "text.txt (fingerprint 0000000000000002)"),
            std::string::npos)
      << warnings[0];
}

TEST(Resume, WithoutStoredFingerprintsPathsCountAndItIsSaidOnce) {
  const auto warnings = check_resume(load({}), with_text({}, "text", 1), 5, false);
  ASSERT_EQ(warnings.size(), 1U);
  EXPECT_NE(warnings[0].find("before inputs had fingerprints"), std::string::npos) << warnings[0];
  EXPECT_THROW(check_resume(load({}), with_text({"data.train=b.txt"}, "text", 1), 5, false), Error);
}

// A stored configuration that does not know how texts are read was made by names.
TEST(Resume, WhatHeldBeforeAKeyHoldsOn) {
  const RunConfig before = load({"data.format=by_name"});
  std::string text = resolved_yaml(before);
  const size_t line = text.find("  format: by_name");
  ASSERT_NE(line, std::string::npos) << text;
  text.erase(line, text.find('\n', line) + 1 - line);
  const RunConfig stored = load_config_text(text, "stored", {}, 0).config;
  EXPECT_EQ(stored.data.text.format, TextFormat::by_name);
  RunConfig now = load({});
  EXPECT_EQ(now.data.text.format, TextFormat::automatic);
  const auto differs = [&] {
    const std::vector<Change> list = changes(stored, now);
    return std::any_of(list.begin(), list.end(),
                       [](const Change& change) { return change.key == "data.format"; });
  };
  EXPECT_TRUE(differs());
  EXPECT_EQ(keep_what_held(stored, now).size(), 1U);
  EXPECT_EQ(now.data.text.format, TextFormat::by_name);
  EXPECT_FALSE(differs());
  RunConfig written = load({"data.format=auto"});
  EXPECT_TRUE(keep_what_held(stored, written).empty());
  EXPECT_EQ(written.data.text.format, TextFormat::automatic);
}

TEST(Resume, KeepIsOnlyChosenWhereItIsWritten) {
  EXPECT_FALSE(load({}).data.text.keep_anything);
  EXPECT_TRUE(load({"data.invalid_utf8=keep"}).data.text.keep_anything);
  EXPECT_FALSE(load({"data.invalid_utf8=replace"}).data.text.keep_anything);
}

}  // namespace
}  // namespace troupe
