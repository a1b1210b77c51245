#include "launch/metrics/metrics_file.h"

#include <gtest/gtest.h>

#include <bit>
#include <cmath>
#include <limits>
#include <nlohmann/json.hpp>

#include "core/base/error.h"
#include "core/base/random.h"
#include "tests/launch/run_dir.h"

namespace troupe {
namespace {

using testing::read_text;
using testing::RunDir;
using testing::write_text;

// A double of random bits, finite.
double any_double(const Random& random, uint64_t index) {
  for (uint64_t lane = 0;; ++lane) {
    const double value = std::bit_cast<double>(random.bits(index, lane));
    if (std::isfinite(value)) return value;
  }
}

StepMetrics any_row(int64_t step) {
  const Random random(7, "test", "metrics");
  uint64_t at = static_cast<uint64_t>(step) * 100;
  const auto next = [&] { return any_double(random, at++); };
  StepMetrics m;
  m.step = step;
  m.tokens = step * 8192;
  m.loss = next();
  if (step % 2 == 0) m.val_loss = next();
  m.lr = next();
  m.grad_norm = next();
  m.tokens_per_s = next();
  m.step_ms = next();
  m.gemm_fraction = next();
  m.balance_loss = next();
  m.z_loss = next();
  m.load_max_over_mean = next();
  m.rank_load_max_over_mean = next();
  m.dropped_fraction = next();
  m.dead_experts = 3;
  m.router_entropy = next();
  m.mem_peak_bytes = int64_t{1} << 53;
  m.phase_ms = {next(), next(), next(), next(), next(), next()};
  return m;
}

bool same_bits(double a, double b) {
  return std::bit_cast<uint64_t>(a) == std::bit_cast<uint64_t>(b);
}

void expect_same(const StepMetrics& a, const StepMetrics& b) {
  EXPECT_EQ(a.step, b.step);
  EXPECT_EQ(a.tokens, b.tokens);
  EXPECT_TRUE(same_bits(a.loss, b.loss));
  ASSERT_EQ(a.val_loss.has_value(), b.val_loss.has_value());
  if (a.val_loss) {
    EXPECT_TRUE(same_bits(*a.val_loss, *b.val_loss));
  }
  EXPECT_TRUE(same_bits(a.lr, b.lr));
  EXPECT_TRUE(same_bits(a.grad_norm, b.grad_norm));
  EXPECT_TRUE(same_bits(a.tokens_per_s, b.tokens_per_s));
  EXPECT_TRUE(same_bits(a.step_ms, b.step_ms));
  EXPECT_TRUE(same_bits(a.gemm_fraction, b.gemm_fraction));
  EXPECT_TRUE(same_bits(a.balance_loss, b.balance_loss));
  EXPECT_TRUE(same_bits(a.z_loss, b.z_loss));
  EXPECT_TRUE(same_bits(a.load_max_over_mean, b.load_max_over_mean));
  EXPECT_TRUE(same_bits(a.rank_load_max_over_mean, b.rank_load_max_over_mean));
  EXPECT_TRUE(same_bits(a.dropped_fraction, b.dropped_fraction));
  EXPECT_EQ(a.dead_experts, b.dead_experts);
  EXPECT_TRUE(same_bits(a.router_entropy, b.router_entropy));
  EXPECT_EQ(a.mem_peak_bytes, b.mem_peak_bytes);
  EXPECT_TRUE(same_bits(a.phase_ms.forward, b.phase_ms.forward));
  EXPECT_TRUE(same_bits(a.phase_ms.backward, b.phase_ms.backward));
  EXPECT_TRUE(same_bits(a.phase_ms.dispatch, b.phase_ms.dispatch));
  EXPECT_TRUE(same_bits(a.phase_ms.comm, b.phase_ms.comm));
  EXPECT_TRUE(same_bits(a.phase_ms.optimizer, b.phase_ms.optimizer));
  EXPECT_TRUE(same_bits(a.phase_ms.data, b.phase_ms.data));
}

void write_rows(const RunDir& dir, int64_t resume_step, int64_t first, int64_t last) {
  MetricsFile file(dir.path(), resume_step);
  for (int64_t step = first; step <= last; ++step) file.append(any_row(step));
  EXPECT_EQ(file.dropped(), 0);
}

TEST(MetricsFile, NumbersRoundTripToTheBit) {
  const RunDir dir;
  write_rows(dir, 0, 1, 200);
  const auto rows = read_metrics(dir.path());
  ASSERT_EQ(rows.size(), 200u);
  for (int64_t step = 1; step <= 200; ++step) {
    expect_same(rows[static_cast<size_t>(step - 1)], any_row(step));
  }
}

TEST(MetricsFile, FieldsAreThoseOfTheContractInOrder) {
  const auto keys = [](const nlohmann::ordered_json& object) {
    std::vector<std::string> out;
    for (const auto& item : object.items()) out.push_back(item.key());
    return out;
  };
  const auto row = nlohmann::ordered_json::parse(to_json_line(any_row(2)));
  const std::vector<std::string> expected = {"step",
                                             "tokens",
                                             "loss",
                                             "val_loss",
                                             "lr",
                                             "grad_norm",
                                             "tokens_per_s",
                                             "step_ms",
                                             "gemm_fraction",
                                             "balance_loss",
                                             "z_loss",
                                             "load_max_over_mean",
                                             "rank_load_max_over_mean",
                                             "dropped_fraction",
                                             "dead_experts",
                                             "router_entropy",
                                             "mem_peak_bytes",
                                             "phase_ms"};
  EXPECT_EQ(keys(row), expected);
  const std::vector<std::string> phases = {"forward", "backward",  "dispatch",
                                           "comm",    "optimizer", "data"};
  EXPECT_EQ(keys(row["phase_ms"]), phases);
  EXPECT_TRUE(row["step"].is_number_integer());
  EXPECT_TRUE(row["tokens"].is_number_integer());
  const auto without = nlohmann::ordered_json::parse(to_json_line(any_row(1)));
  EXPECT_FALSE(without.contains("val_loss"));
}

TEST(MetricsFile, ValuesThatAreNotFiniteBecomeNullAndNaN) {
  StepMetrics row = any_row(1);
  row.loss = std::numeric_limits<double>::infinity();
  row.grad_norm = std::numeric_limits<double>::quiet_NaN();
  const std::string line = to_json_line(row);
  EXPECT_NE(line.find("\"loss\":null"), std::string::npos);
  StepMetrics back;
  ASSERT_TRUE(parse_json_line(line, back));
  EXPECT_TRUE(std::isnan(back.loss));
  EXPECT_TRUE(std::isnan(back.grad_norm));
}

TEST(MetricsFile, EachRowIsOnDiskAtOnce) {
  const RunDir dir;
  MetricsFile file(dir.path(), 0);
  file.append(any_row(1));
  EXPECT_EQ(read_metrics(dir.path()).size(), 1u);
  file.append(any_row(2));
  EXPECT_EQ(read_metrics(dir.path()).size(), 2u);
}

TEST(MetricsFile, ResumeCutsRowsAfterTheCheckpoint) {
  const RunDir dir;
  write_rows(dir, 0, 1, 10);
  const std::string first = read_text(dir / "metrics.jsonl");
  write_rows(dir, 6, 7, 10);
  EXPECT_EQ(read_text(dir / "metrics.jsonl"), first);  // one row a step, the same bytes
  write_rows(dir, 0, 1, 3);
  EXPECT_EQ(read_metrics(dir.path()).size(), 3u);
}

// Row 3 has no evaluation (odd ones have none), which comes when the run goes on.
TEST(MetricsFile, AnEvaluationIsAddedToTheRowGoneOnFrom) {
  const RunDir dir;
  write_rows(dir, 0, 1, 5);
  EXPECT_TRUE(lacks_val_loss(dir.path(), 3));
  EXPECT_FALSE(lacks_val_loss(dir.path(), 4));  // it has one
  EXPECT_FALSE(lacks_val_loss(dir.path(), 6));  // no such row
  {
    MetricsFile file(dir.path(), 3);
    file.add_val_loss(0.1);
    EXPECT_FALSE(lacks_val_loss(dir.path(), 3));
    file.append(any_row(4));
    EXPECT_EQ(file.dropped(), 0);
  }
  const std::vector<StepMetrics> rows = read_metrics(dir.path());
  ASSERT_EQ(rows.size(), 4u);
  for (int64_t step = 1; step <= 4; ++step) {
    StepMetrics row = any_row(step);
    if (step == 3) row.val_loss = 0.1;
    expect_same(rows[static_cast<size_t>(step - 1)], row);
  }
  EXPECT_THROW(MetricsFile(dir.path(), 2).add_val_loss(1.0), Error);
  EXPECT_THROW(MetricsFile(dir.path(), 0).add_val_loss(1.0), Error);
}

TEST(MetricsFile, TornLastLineIsCutOnResumeAndSkippedByTheReader) {
  const RunDir dir;
  write_rows(dir, 0, 1, 4);
  const std::string torn = to_json_line(any_row(5));
  write_text(dir / "metrics.jsonl", torn.substr(0, torn.size() / 2), /*append=*/true);
  EXPECT_EQ(read_metrics(dir.path()).size(), 4u);
  write_rows(dir, 4, 5, 6);
  const auto rows = read_metrics(dir.path());
  ASSERT_EQ(rows.size(), 6u);
  expect_same(rows[4], any_row(5));
}

TEST(MetricsFile, DuplicatesAndForeignLinesGoAtResume) {
  const RunDir dir;
  StepMetrics other = any_row(2);
  other.tokens = 1;
  write_text(dir / "metrics.jsonl", to_json_line(other) + "\nnot a row\n{\"step\":\"x\"}\n[]\n" +
                                        to_json_line(any_row(1)) + "\n" + to_json_line(any_row(2)) +
                                        "\n");
  ASSERT_EQ(read_metrics(dir.path()).size(), 2u);
  expect_same(read_metrics(dir.path())[1], any_row(2));
  write_rows(dir, 2, 3, 3);
  EXPECT_EQ(read_text(dir / "metrics.jsonl"), to_json_line(any_row(1)) + "\n" +
                                                  to_json_line(any_row(2)) + "\n" +
                                                  to_json_line(any_row(3)) + "\n");
  EXPECT_FALSE(std::filesystem::exists(dir / "metrics.jsonl.new"));
}

TEST(MetricsFile, AStepNotBeyondTheLastRowIsABug) {
  const RunDir dir;
  write_rows(dir, 0, 1, 4);
  MetricsFile file(dir.path(), 4);
  EXPECT_THROW(file.append(any_row(4)), Error);
  file.append(any_row(5));
  EXPECT_THROW(file.append(any_row(5)), Error);
}

TEST(MetricsFile, ALostDirectoryDropsRowsAndNeverThrows) {
  const RunDir dir;
  const auto inner = dir / "run";
  MetricsFile file(inner, 0);
  file.append(any_row(1));
  file.append(any_row(2));
  EXPECT_EQ(file.dropped(), 2);
  std::filesystem::create_directory(inner);
  file.append(any_row(3));
  EXPECT_EQ(file.dropped(), 2);
  EXPECT_EQ(read_metrics(inner).size(), 1u);
}

TEST(MetricsFile, MissingFileGivesNoRows) {
  const RunDir dir;
  EXPECT_TRUE(read_metrics(dir.path()).empty());
}

}  // namespace
}  // namespace troupe
