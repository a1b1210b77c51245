#include "launch/config/recorded_lineage.h"

#include <gtest/gtest.h>

namespace troupe {
namespace {

TEST(RecordedLineage, ReadsBackAsWritten) {
  const std::vector<Ancestor> lineage{{"0123456789abcdef0123456789abcdef", "/runs/base"},
                                      {std::string(32, 'f'), "\"/a path/with: signs.h5\""}};
  const std::string text = "# another line\n" + lineage_lines(lineage) + "version: 1\n";
  EXPECT_EQ(recorded_lineage(text), lineage);
  for (const char* damaged : {"# Descends from \n", "# Descends from 0123 /a\n",
                              "# Descends from 0123456789abcdef0123456789abcdeg /a\n",
                              "# Descends from 0123456789abcdef0123456789abcdef\n",
                              "# Descends from 0123456789abcdef0123456789abcdef0 /a\n", ""}) {
    EXPECT_TRUE(recorded_lineage(damaged).empty()) << damaged;
  }
}

}  // namespace
}  // namespace troupe
