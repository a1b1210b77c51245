// The layouts that are named on the command line.
#include "launch/app/listed_layouts.h"

#include <gtest/gtest.h>

#include "core/base/error.h"
#include "tests/support/generous_model.h"

namespace troupe {
namespace {

TEST(ListedLayouts, AreRead) {
  const ListOptions options{8, false, 0, 1};
  const auto list = listed_layouts("tp=2,pp=2;ep=8, zero=3", generous(), options);
  ASSERT_EQ(list.size(), 2U);
  EXPECT_EQ(list[0].parallelism.shape[Axis::dp], 2);
  EXPECT_TRUE(list[0].parallelism.sp);
  EXPECT_EQ(list[1].parallelism.shape[Axis::dp], 8);
  EXPECT_EQ(list[1].parallelism.shape[Axis::edp], 1);
  EXPECT_EQ(list[1].parallelism.zero, 3);
  EXPECT_FALSE(listed_layouts("dp=2", generous(), options)[0].refused.empty());
  // Nodes that act, as in all layouts: else the exchange between nodes would not be run.
  const auto nodes = listed_layouts(
      "ep=4,ep_kind=hierarchical,ranks_per_node=auto;ep=4,ep_kind="
      "hierarchical,ranks_per_node=3;ep=4,dp=auto,sp=auto",
      generous(), options);
  EXPECT_EQ(nodes[0].parallelism.ranks_per_node, 2);
  EXPECT_EQ(nodes[1].parallelism.ranks_per_node, 3);
  EXPECT_EQ(nodes[2].parallelism.ranks_per_node, 0);
  EXPECT_EQ(nodes[2].parallelism.shape[Axis::dp], 8);
  EXPECT_FALSE(
      listed_layouts("tp=65536,cp=65536,pp=65536", generous(), options)[0].refused.empty());
  for (const char* wrong :
       {"", "tp=1073741824", "tp=auto", "tp", "tp=0", "tq=2", "zero=4", "schedule=2f2b", "tp=2x"}) {
    EXPECT_THROW(listed_layouts(wrong, generous(), options), Error) << wrong;
  }
}

}  // namespace
}  // namespace troupe
