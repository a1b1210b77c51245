#include "parallel/cp/key_ranges.h"

#include <gtest/gtest.h>

namespace troupe {
namespace {

// Two ranks of 8 positions, zigzag: 0 1 6 7 and 2 3 4 5.
const std::vector<std::vector<int64_t>> kPositions = {{0, 1, 6, 7}, {2, 3, 4, 5}};

std::vector<int64_t> visible(const KeyRange& range) {
  std::vector<int64_t> out;
  for (size_t i = 0; i < range.first.integers().size(); ++i) {
    out.push_back(range.first.integers()[i]);
    out.push_back(range.end.integers()[i]);
  }
  return out;
}

TEST(KeyRanges, CausalChunks) {
  const auto ranges = key_ranges(kPositions[0], kPositions, 1, 8, {}, Device::cpu(1));
  EXPECT_EQ(visible(ranges[0]), (std::vector<int64_t>{0, 1, 0, 2, 0, 3, 0, 4}));
  EXPECT_EQ(visible(ranges[1]), (std::vector<int64_t>{0, 0, 0, 0, 0, 4, 0, 4}));
  EXPECT_TRUE(ranges[0].any && ranges[1].any);
}

TEST(KeyRanges, WindowsAndDocumentsCutThem) {
  AttentionOptions options;
  options.window = 3;
  auto ranges = key_ranges(kPositions[0], kPositions, 1, 8, options, Device::cpu(1));
  EXPECT_EQ(visible(ranges[0]), (std::vector<int64_t>{0, 1, 0, 2, 2, 3, 2, 4}));
  EXPECT_EQ(visible(ranges[1]), (std::vector<int64_t>{0, 0, 0, 0, 2, 4, 3, 4}));

  options.window = 0;
  const std::vector<int32_t> ids = {0, 0, 0, 1, 1, 1, 2, 2};
  options.documents = Tensor::from(std::span<const int32_t>(ids), {1, 8}, Device::cpu(1));
  ranges = key_ranges(kPositions[0], kPositions, 1, 8, options, Device::cpu(1));
  EXPECT_EQ(visible(ranges[0]), (std::vector<int64_t>{0, 1, 0, 2, 2, 3, 2, 4}));
  EXPECT_FALSE(ranges[1].any);
}

}  // namespace
}  // namespace troupe
