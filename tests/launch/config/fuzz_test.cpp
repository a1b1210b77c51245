#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <sstream>

#include "tests/launch/config/support/fuzz.h"

namespace troupe {
namespace {

TEST(Fuzz, TwoThousandChangedFiles) {
  const FuzzSummary summary = fuzz_configs(0, 2000);
  for (const std::string& failure : summary.failures) ADD_FAILURE() << failure;
  EXPECT_GE(summary.parsed * 5, summary.cases);  // at least 20 % pass the first check
  EXPECT_GT(summary.accepted, 0);
}

// What broke a promise once.
TEST(Fuzz, Corpus) {
  const auto folder = std::filesystem::path(TROUPE_SOURCE_DIR) / "tests/launch/config/corpus";
  int seen = 0;
  for (const auto& file : std::filesystem::directory_iterator(folder)) {
    std::ifstream stream(file.path(), std::ios::binary);
    std::ostringstream text;
    text << stream.rdbuf();
    FuzzSummary summary;
    EXPECT_EQ(check_input({text.str(), {}}, summary), "") << file.path();
    ++seen;
  }
  EXPECT_GT(seen, 0);
}

}  // namespace
}  // namespace troupe
