#include "core/base/absent_path.h"

#include <gtest/gtest.h>

namespace troupe {
namespace {

TEST(AbsentPath, IsNotThereOrOutOfReach) {
  EXPECT_EQ(why_absent("/no/such/file"), "does not exist");
  EXPECT_EQ(why_absent(std::string(300, 'a')), "cannot be reached: File name too long");
}

}  // namespace
}  // namespace troupe
