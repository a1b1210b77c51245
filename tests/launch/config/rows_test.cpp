// A row of the schema fills in the member that it names.
#include <gtest/gtest.h>

#include <set>

#include "launch/config/schema.h"
#include "tests/launch/config/support/sound.h"

namespace troupe {
namespace {

void collect(const SchemaNode& node, std::set<std::string>& idle) {
  for (const Key& key : node.keys) {
    if (!key.store) idle.insert(key.path);
  }
  for (const SchemaNode& child : node.children) collect(child, idle);
  for (const SchemaNode& child : node.elements) collect(child, idle);
}

TEST(Rows, OnlyKeysThatSayAShapeFillInNothing) {
  std::set<std::string> idle;
  collect(schema(), idle);
  EXPECT_EQ(idle, (std::set<std::string>{"version", "moe", "moe.balance", "moe.group.across",
                                         "optimizer.groups"}));
}

TEST(Rows, WordsAreResolvedFromWhatIsGivenAnywhere) {
  const RunConfig config = load({"train.micro_batch=auto", "parallel.dp=auto"}, 2);
  EXPECT_EQ(config.parallel.shape[Axis::dp], 2);
  EXPECT_EQ(config.train.micro_batch * 2, config.train.global_batch);
  EXPECT_EQ(config.values.integer("train.micro_batch"), config.train.micro_batch);
  EXPECT_EQ(config.values.integer("parallel.dp"), 2);
}

TEST(Rows, WordsThatStayStandForAValueOfTheMember) {
  const RunConfig config = load({"optimizer.clip=none", "eval.tokens=all", "runtime.threads=auto"});
  EXPECT_EQ(config.optimizer.clip, 0);
  EXPECT_EQ(config.eval.tokens, 0);
  EXPECT_EQ(config.runtime.threads, 0);
  EXPECT_EQ(config.values.text("optimizer.clip"), "none");
  EXPECT_EQ(load({"optimizer.clip=0.5"}).optimizer.clip, 0.5);
}

}  // namespace
}  // namespace troupe
