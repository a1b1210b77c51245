#include "core/base/log.h"

#include <gtest/gtest.h>

namespace troupe {
namespace {

std::string logged(const std::string& message) {
  testing::internal::CaptureStderr();
  log::warning("{}", message);
  return testing::internal::GetCapturedStderr();
}

TEST(Log, RanksSayWhoTheyAreAndALiveLineIsWipedFirst) {
  log::configure(log::Level::info, 0, /*leader=*/true);
  EXPECT_EQ(logged("disk"), "warning: disk\n");
  log::configure(log::Level::info, 3, /*leader=*/false);
  EXPECT_EQ(logged("disk"), "rank 3: warning: disk\n");
  log::configure(log::Level::info, 3, /*leader=*/false, /*over_live_line=*/true);
  EXPECT_EQ(logged("disk"), "\r\x1b[Krank 3: warning: disk\n");
  log::configure(log::Level::info, 0, /*leader=*/true, /*over_live_line=*/true);
  EXPECT_EQ(logged("disk"), "\r\x1b[Kwarning: disk\n");
  log::configure(log::Level::info, 0, /*leader=*/true);
}

}  // namespace
}  // namespace troupe
