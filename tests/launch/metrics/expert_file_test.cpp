#include "launch/metrics/expert_file.h"

#include <gtest/gtest.h>

#include "core/base/error.h"
#include "tests/launch/run_dir.h"

namespace troupe {
namespace {

using testing::read_text;
using testing::RunDir;
using testing::write_text;

const std::vector<ExpertLayer> kLayers = {{1, 3}, {3, 2}};

std::vector<int64_t> counts_of(int64_t step) {
  return {step, 2 * step, 0, 100 - step, 4'000'000'000};
}

void write_steps(const RunDir& dir, int64_t resume_step, int64_t first, int64_t last) {
  ExpertFile file(dir.path(), kLayers, resume_step);
  for (int64_t step = first; step <= last; ++step) file.append(step, counts_of(step));
  EXPECT_EQ(file.dropped(), 0);
}

void expect_steps(const RunDir& dir, int64_t last) {
  const ExpertLoads loads = read_expert_loads(dir.path());
  EXPECT_EQ(loads.layers, kLayers);
  ASSERT_EQ(loads.steps.size(), static_cast<size_t>(last));
  for (int64_t step = 1; step <= last; ++step) {
    const auto at = static_cast<size_t>(step - 1);
    EXPECT_EQ(loads.steps[at], step);
    const auto expected = counts_of(step);
    EXPECT_EQ(loads.counts[at], std::vector<uint32_t>(expected.begin(), expected.end()));
  }
}

TEST(ExpertFile, WrittenCountsAreReadBack) {
  const RunDir dir;
  write_steps(dir, 0, 1, 20);
  expect_steps(dir, 20);
  // The documented size: header 8 + 4 + 2 * 8 + 4, records 8 + 5 * 4 + 4.
  EXPECT_EQ(std::filesystem::file_size(dir / "experts.bin"), 32u + 20u * 32u);
}

TEST(ExpertFile, ResumeCutsAndGoesOn) {
  const RunDir dir;
  write_steps(dir, 0, 1, 20);
  const std::string whole = read_text(dir / "experts.bin");
  write_steps(dir, 12, 13, 20);
  EXPECT_EQ(read_text(dir / "experts.bin"), whole);
}

TEST(ExpertFile, ATornOrDamagedRecordEndsTheReading) {
  const RunDir dir;
  write_steps(dir, 0, 1, 5);
  std::string bytes = read_text(dir / "experts.bin");
  write_text(dir / "experts.bin", bytes.substr(0, bytes.size() - 3));
  expect_steps(dir, 4);
  write_steps(dir, 4, 5, 5);  // the torn one is cut away first
  EXPECT_EQ(read_text(dir / "experts.bin"), bytes);
  bytes[32 + 2 * 32 + 9] ^= 4;
  write_text(dir / "experts.bin", bytes);
  expect_steps(dir, 2);
}

TEST(ExpertFile, EveryCutAndEveryFlippedHeaderBitIsSurvived) {
  const RunDir dir;
  write_steps(dir, 0, 1, 2);
  const std::string bytes = read_text(dir / "experts.bin");
  for (size_t size = 0; size < bytes.size(); ++size) {
    write_text(dir / "experts.bin", bytes.substr(0, size));
    EXPECT_EQ(read_expert_loads(dir.path()).steps.size(), size < 64 ? 0u : 1u) << size;
  }
  for (size_t at = 0; at < 32; ++at) {
    std::string flipped = bytes;
    flipped[at] ^= static_cast<char>(0x80);
    write_text(dir / "experts.bin", flipped);
    EXPECT_TRUE(read_expert_loads(dir.path()).layers.empty()) << at;
  }
}

TEST(ExpertFile, OtherLayersStartANewFile) {
  const RunDir dir;
  write_steps(dir, 0, 1, 5);
  ExpertFile file(dir.path(), {{0, 4}}, 5);
  file.append(6, std::vector<int64_t>{-1, 2, int64_t{1} << 40, 4});
  const ExpertLoads loads = read_expert_loads(dir.path());
  ASSERT_EQ(loads.steps, std::vector<int64_t>{6});
  EXPECT_EQ(loads.counts[0], (std::vector<uint32_t>{0, 2, 0xFFFFFFFFu, 4}));
}

TEST(ExpertFile, DenseModelsHaveNoFile) {
  const RunDir dir;
  write_steps(dir, 0, 1, 2);
  ExpertFile file(dir.path(), {}, 0);
  file.append(1, {});
  EXPECT_FALSE(std::filesystem::exists(dir / "experts.bin"));
  EXPECT_TRUE(read_expert_loads(dir.path()).steps.empty());
}

TEST(ExpertFile, WrongNumberOfCountsIsABug) {
  const RunDir dir;
  ExpertFile file(dir.path(), kLayers, 0);
  EXPECT_THROW(file.append(1, std::vector<int64_t>{1, 2}), Error);
}

TEST(ExpertFile, ALostDirectoryIsCounted) {
  const RunDir dir;
  ExpertFile file(dir / "none", kLayers, 0);
  file.append(1, counts_of(1));
  EXPECT_EQ(file.dropped(), 1);
}

}  // namespace
}  // namespace troupe
