#include "core/optim/lr_schedule.h"

#include <gtest/gtest.h>

#include <cmath>

#include "core/base/error.h"

namespace troupe {
namespace {

Options options(const std::string& type, int64_t warmup, double min_ratio,
                double decay_fraction = 0.2) {
  Options out(schedule_fields(type));
  out.set("warmup", warmup);
  if (out.has("min_ratio")) out.set("min_ratio", min_ratio);
  if (out.has("decay_fraction")) out.set("decay_fraction", decay_fraction);
  return out;
}

TEST(Schedule, WarmUpIsLinearInAll) {
  for (const ScheduleKind& kind : schedules()) {
    const Options chosen = options(kind.name, 4, 0.1);
    for (int64_t step = 0; step < 4; ++step) {
      EXPECT_DOUBLE_EQ(schedule_factor(kind.name, chosen, step, 100), (step + 1) / 4.0)
          << kind.name << " " << step;
    }
  }
}

TEST(Schedule, Constant) {
  const Options chosen = options("constant", 0, 0);
  for (int64_t step : {0, 5, 99, 1000}) {
    EXPECT_EQ(schedule_factor("constant", chosen, step, 100), 1.0);
  }
}

TEST(Schedule, Linear) {
  const Options chosen = options("linear", 10, 0.2);
  EXPECT_DOUBLE_EQ(schedule_factor("linear", chosen, 9, 110), 1.0);
  EXPECT_DOUBLE_EQ(schedule_factor("linear", chosen, 34, 110), 0.8);
  EXPECT_DOUBLE_EQ(schedule_factor("linear", chosen, 59, 110), 0.6);
  EXPECT_DOUBLE_EQ(schedule_factor("linear", chosen, 109, 110), 0.2);
  EXPECT_DOUBLE_EQ(schedule_factor("linear", chosen, 500, 110), 0.2);
}

TEST(Schedule, Cosine) {
  const Options chosen = options("cosine", 0, 0.1);
  EXPECT_DOUBLE_EQ(schedule_factor("cosine", chosen, 49, 100), 0.55);
  EXPECT_DOUBLE_EQ(schedule_factor("cosine", chosen, 24, 100),
                   0.1 + 0.9 * 0.5 * (1 + std::sqrt(0.5)));
  EXPECT_DOUBLE_EQ(schedule_factor("cosine", chosen, 99, 100), 0.1);
}

TEST(Schedule, InverseSqrt) {
  const Options chosen = options("inverse_sqrt", 16, 0.125);
  EXPECT_DOUBLE_EQ(schedule_factor("inverse_sqrt", chosen, 15, 100), 1.0);
  EXPECT_DOUBLE_EQ(schedule_factor("inverse_sqrt", chosen, 63, 100), 0.5);
  EXPECT_DOUBLE_EQ(schedule_factor("inverse_sqrt", chosen, 255, 100), 0.25);
  EXPECT_DOUBLE_EQ(schedule_factor("inverse_sqrt", chosen, 99999, 100), 0.125);
}

TEST(Schedule, WarmUpStableDecay) {
  const Options chosen = options("wsd", 10, 0.1, 0.2);
  EXPECT_DOUBLE_EQ(schedule_factor("wsd", chosen, 9, 100), 1.0);
  EXPECT_DOUBLE_EQ(schedule_factor("wsd", chosen, 79, 100), 1.0);
  EXPECT_DOUBLE_EQ(schedule_factor("wsd", chosen, 89, 100), 0.55);
  EXPECT_DOUBLE_EQ(schedule_factor("wsd", chosen, 99, 100), 0.1);
  EXPECT_DOUBLE_EQ(schedule_factor("wsd", options("wsd", 0, 0.1, 0.0), 99, 100), 1.0);
  // A warm-up that reaches into the decay: it falls from its end.
  EXPECT_DOUBLE_EQ(schedule_factor("wsd", options("wsd", 90, 0.0, 0.5), 94, 100), 0.5);
}

TEST(Schedule, NeverLeavesItsBounds) {
  for (const ScheduleKind& kind : schedules()) {
    for (int64_t warmup : {0, 1, 7, 30}) {
      const Options chosen = options(kind.name, warmup, 0.05);
      for (int64_t step = 0; step < 40; ++step) {
        const double factor = schedule_factor(kind.name, chosen, step, 20);
        EXPECT_GT(factor, 0.0);
        EXPECT_LE(factor, 1.0);
      }
    }
  }
}

// A warm-up as long as the run ends at the peak, a longer one on the way there.
TEST(Schedule, AWarmUpThatFillsTheRunNeverFalls) {
  for (const ScheduleKind& kind : schedules()) {
    for (int64_t warmup : {10, 11, 25}) {
      for (double decay_fraction : {0.0, 0.2, 1.0}) {
        const Options chosen = options(kind.name, warmup, 0.0, decay_fraction);
        for (int64_t step = 0; step < 10; ++step) {
          EXPECT_DOUBLE_EQ(schedule_factor(kind.name, chosen, step, 10),
                           static_cast<double>(step + 1) / static_cast<double>(warmup))
              << kind.name << ", warm-up " << warmup << ", step " << step;
        }
      }
    }
  }
}

// With min_ratio 1 there is nothing to fall; a decay over all steps begins at the end of the
// warm-up.
TEST(Schedule, RatioAndDecayOfOne) {
  for (const ScheduleKind& kind : schedules()) {
    for (int64_t step = 0; step < 12; ++step)
      EXPECT_DOUBLE_EQ(schedule_factor(kind.name, options(kind.name, 0, 1.0), step, 10), 1.0);
  }
  for (int64_t step = 0; step < 10; ++step) {
    EXPECT_DOUBLE_EQ(schedule_factor("wsd", options("wsd", 2, 0.1, 1.0), step, 10),
                     schedule_factor("linear", options("linear", 2, 0.1), step, 10));
  }
}

TEST(Schedule, UnknownNameIsRefused) {
  EXPECT_THROW(schedule_factor("step", options("constant", 0, 0), 0, 10), Error);
}

}  // namespace
}  // namespace troupe
