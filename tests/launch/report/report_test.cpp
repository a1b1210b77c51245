#include "launch/report/report.h"

#include <gtest/gtest.h>

#include <cmath>
#include <nlohmann/json.hpp>

#include "launch/metrics/metrics_file.h"
#include "launch/report/axis.h"
#include "launch/report/heat_map.h"
#include "launch/report/run_data.h"
#include "launch/report/verdict.h"
#include "tests/launch/report/page_data.h"
#include "tests/launch/report/synthetic_run.h"

namespace troupe {
namespace {

using report_page::RunData;
using testing::page_data;
using testing::RunDir;
using testing::SyntheticRun;
using testing::write_synthetic_run;

TEST(Report, ThePageHoldsTheRowsOfMetricsJsonl) {
  const RunDir dir;
  write_synthetic_run(dir.path(), {});
  const auto data = page_data(report({dir.path()}));
  ASSERT_EQ(data["runs"].size(), 1u);
  EXPECT_EQ(data["runs"][0]["logged_steps"], 150);
  testing::expect_rows(data["runs"][0]["rows"], read_metrics(dir.path()), /*all=*/true);
}

TEST(Report, ALongRunIsThinnedAndKeepsItsSpikes) {
  const RunDir dir;
  SyntheticRun run;
  run.rows = 8000;
  run.layers = 2;
  write_synthetic_run(dir.path(), run);
  const std::string html = report({dir.path()});
  EXPECT_LT(html.size(), 2u << 20);
  const auto rows = page_data(html)["runs"][0]["rows"];
  const auto written = read_metrics(dir.path());
  EXPECT_LT(rows["step"].size(), 2500u);
  EXPECT_GT(rows["step"].size(), 500u);
  testing::expect_rows(rows, written, /*all=*/false);
  EXPECT_EQ(rows["step"].front(), written.front().step);
  EXPECT_EQ(rows["step"].back(), written.back().step);
  double highest = 0;
  for (const StepMetrics& row : written) highest = std::max(highest, row.grad_norm);
  double shown = 0;
  for (const double value : rows["grad_norm"]) shown = std::max(shown, value);
  EXPECT_EQ(shown, highest);
}

TEST(Report, ManyLargeRunsStayBelowTwoMegabytes) {
  const RunDir dir;
  std::vector<std::filesystem::path> dirs;
  for (int i = 0; i < 8; ++i) {
    SyntheticRun run;
    run.rows = 220;
    run.layers = 24;
    run.experts = 64;
    run.seed = static_cast<uint64_t>(i) + 1;
    dirs.push_back(dir / ("run-" + std::to_string(i)));
    write_synthetic_run(dirs.back(), run);
  }
  const std::string html = report(dirs);
  EXPECT_LT(html.size(), 2u << 20);
  EXPECT_EQ(page_data(html)["runs"].size(), 8u);
}

TEST(Report, EmptyAndOneStepRunsSaySo) {
  const RunDir dir;
  SyntheticRun run;
  run.rows = 0;
  write_synthetic_run(dir / "none", run);
  run.rows = 1;
  write_synthetic_run(dir / "one", run);
  EXPECT_NE(report({dir / "none"}).find("No step has been logged yet"), std::string::npos);
  const std::string one = report({dir / "one"});
  EXPECT_NE(one.find("Only one step has been logged"), std::string::npos);
  EXPECT_NE(one.find("whether it learns cannot be said yet"), std::string::npos);
  // An empty run beside a full one is named as such.
  write_synthetic_run(dir / "full", {});
  EXPECT_NE(report({dir / "none", dir / "full"}).find("no step was logged yet"), std::string::npos);
  EXPECT_NE(report({dir / "full", dir / "none"}).find("It learned"), std::string::npos);
}

TEST(Report, NamesAndConfigurationsCannotBreakThePage) {
  const RunDir dir;
  const auto odd = dir / "<img src=x onerror=alert(1)>&\"'";
  write_synthetic_run(odd, {});
  testing::write_text(odd / "config.resolved.yaml", "name: </pre></script><b>\n");
  const std::string html = report({odd});
  EXPECT_EQ(html.find("<img"), std::string::npos);
  EXPECT_EQ(html.find("</pre></script>"), std::string::npos);
  EXPECT_NE(html.find("&lt;/pre&gt;&lt;/script&gt;&lt;b&gt;"), std::string::npos);
  EXPECT_EQ(page_data(html)["runs"][0]["name"], "<img src=x onerror=alert(1)>&\"'");
  write_synthetic_run(dir / "no\xFFtext", {});
  EXPECT_EQ(page_data(report({dir / "no\xFFtext"}))["runs"][0]["name"], "bytes:no%FFtext");
}

TEST(Report, NeedsNoNetwork) {
  const RunDir dir;
  write_synthetic_run(dir.path(), {});
  const std::string html = report({dir.path()});
  for (const char* reference :
       {"http:", "https:", "src=", "@import", "url(", "<link rel=\"style"}) {
    EXPECT_EQ(html.find(reference), std::string::npos) << reference;
  }
}

TEST(Report, RunsOfOneNameAreToldApart) {
  const RunDir dir;
  write_synthetic_run(dir / "a" / "run", {});
  write_synthetic_run(dir / "b" / "run", {});
  const auto data = page_data(report({dir / "a" / "run", dir / "b" / "run"}));
  EXPECT_EQ(data["runs"][0]["name"], "run");
  EXPECT_EQ(data["runs"][1]["name"], "run (2)");
}

TEST(Report, ValuesThatAreNotNumbersAreGaps) {
  const RunDir dir;
  testing::write_text(dir / "metrics.jsonl",
                      "{\"step\":1,\"loss\":2.5}\n{\"step\":2,\"loss\":null}\n"
                      "{\"step\":3,\"loss\":null}\n");
  const std::string html = report({dir.path()});
  EXPECT_NE(html.find("the loss is not a number at step 3"), std::string::npos);
  EXPECT_EQ(html.find("nan "), std::string::npos);
  EXPECT_TRUE(page_data(html)["runs"][0]["rows"]["loss"][2].is_null());
}

TEST(Report, ASpikeOfTheLossLeavesTheRestReadable) {
  const RunDir dir;
  testing::write_text(dir / "metrics.jsonl",
                      "{\"step\":1,\"loss\":5.5}\n{\"step\":2,\"loss\":60}\n"
                      "{\"step\":3,\"loss\":1.5}\n");
  EXPECT_NE(report({dir.path()}).find("nats per token, log scale"), std::string::npos);
  write_synthetic_run(dir / "calm", {});
  EXPECT_EQ(report({dir / "calm"}).find("nats per token, log scale"), std::string::npos);
}

TEST(Report, TablesOfSeveralRunsAreNamed) {
  const RunDir dir;
  write_synthetic_run(dir / "a", {});
  write_synthetic_run(dir / "b", {});
  EXPECT_NE(report({dir / "a"}).find("<summary>Logged steps, one in 4 of 150<"), std::string::npos);
  EXPECT_NE(report({dir / "a", dir / "b"}).find("<summary>b: logged steps, one in 4 of 150<"),
            std::string::npos);
}

TEST(Report, HeatMapsShowLoadOverTheMean) {
  const RunDir dir;
  SyntheticRun run;
  run.rows = 40;
  run.dead_expert = 3;
  write_synthetic_run(dir.path(), run);
  const auto map = page_data(report({dir.path()}))["heat"]["layers-experts-0"];
  ASSERT_EQ(map["rows"].size(), 4u);
  ASSERT_EQ(map["columns"].size(), 8u);
  for (size_t layer = 0; layer < 4; ++layer) {
    std::vector<double> sums(8, 0.0);
    double all = 0;
    for (int64_t index = 30; index < 40; ++index) {  // the last quarter
      const auto counts = testing::synthetic_counts(run, index);
      for (size_t e = 0; e < 8; ++e) {
        sums[e] += static_cast<double>(counts[layer * 8 + e]);
        all += static_cast<double>(counts[layer * 8 + e]);
      }
    }
    for (size_t e = 0; e < 8; ++e) {
      EXPECT_NEAR(map["values"][layer][e].get<double>(), sums[e] * 8 / all, 6e-4);
    }
  }
  EXPECT_EQ(map["values"][2][3], 0.0);
}

TEST(HeatMap, StepLabelsStandApart) {
  ExpertLoads loads;
  loads.layers = {{0, 2}};
  for (const size_t records : {1u, 2u, 4u, 9u, 30u, 1000u}) {
    loads.steps.clear();
    for (size_t i = 0; i < records; ++i) loads.steps.push_back(static_cast<int64_t>(i) * 5 + 1);
    loads.counts.assign(records, {3, 1});
    const auto map = report_page::experts_by_steps(loads, 0, 90);
    ASSERT_FALSE(map.x_ticks.empty());
    for (size_t i = 1; i < map.x_ticks.size(); ++i) {
      const double apart = map.x_ticks[i].first - map.x_ticks[i - 1].first;
      EXPECT_GE(apart, static_cast<double>(map.columns.size()) / 12) << records;
    }
    EXPECT_EQ(map.values[0].back(), 1.5);
  }
}

TEST(HeatMap, ClassesDivergeAroundTheMean) {
  EXPECT_EQ(report_page::heat_class(1.0), 5);
  EXPECT_EQ(report_page::heat_class(1.06), 5);
  EXPECT_EQ(report_page::heat_class(0.95), 5);
  EXPECT_EQ(report_page::heat_class(1.1), 6);
  EXPECT_EQ(report_page::heat_class(1 / 1.1), 4);
  EXPECT_EQ(report_page::heat_class(100), 10);
  EXPECT_EQ(report_page::heat_class(0.01), 0);
  EXPECT_EQ(report_page::heat_class(0), 11);
}

TEST(Axis, CoversTheValuesWithRoundTicks) {
  const auto axis = report_page::make_axis({1.55, 4.4}, {});
  EXPECT_LT(axis.low, 1.55);
  EXPECT_GT(axis.high, 4.4);
  EXPECT_EQ(axis.labels,
            (std::vector<std::string>{"1.5", "2.0", "2.5", "3.0", "3.5", "4.0", "4.5"}));
  const auto steps = report_page::make_axis({10, 1500}, {.tight = true, .ticks = 4});
  EXPECT_EQ(steps.labels, (std::vector<std::string>{"500", "1000", "1500"}));
  EXPECT_EQ(steps.place(10), 0);
  EXPECT_EQ(steps.place(1500), 1);
  const auto tokens = report_page::make_axis({0, 12.3e6}, {.tight = true, .ticks = 4});
  EXPECT_EQ(tokens.labels.at(1), "2M");
  const auto norm = report_page::make_axis({0.01, 100}, {.logarithmic = true});
  EXPECT_NEAR(norm.place(1), 0.5, 1e-12);
  EXPECT_EQ(norm.labels, (std::vector<std::string>{"0.01", "0.1", "1", "10", "100"}));
}

TEST(Axis, WhatIsCountedHasWholeTicks) {
  const auto ticks = [](std::vector<double> steps) {
    return report_page::make_axis(steps, {.tight = true, .whole = true, .ticks = 4}).labels;
  };
  EXPECT_EQ(ticks({1}), (std::vector<std::string>{"1"}));
  EXPECT_EQ(ticks({1, 2}), (std::vector<std::string>{"1", "2"}));
  EXPECT_EQ(ticks({1, 3}), (std::vector<std::string>{"1", "2", "3"}));
  EXPECT_EQ(ticks({10, 1500}), (std::vector<std::string>{"500", "1000", "1500"}));
}

TEST(Axis, LargeNumbersHaveShortLabels) {
  const auto near_a_million = report_page::make_axis({0, 1.02e6}, {.tight = true, .ticks = 4});
  EXPECT_EQ(near_a_million.labels,
            (std::vector<std::string>{"0", "0.2M", "0.4M", "0.6M", "0.8M", "1.0M"}));
  const auto exploded = report_page::make_axis({0.7, 3.8e12}, {.logarithmic = true});
  EXPECT_EQ(exploded.labels, (std::vector<std::string>{"10", "1000", "1e5", "1e7", "1e9", "1e11"}));
}

TEST(Axis, SmallNumbersHaveOneNotation) {
  const auto rates = report_page::make_axis({0, 1.1e-4}, {.from_zero = true});
  EXPECT_EQ(rates.labels, (std::vector<std::string>{"0", "2e-5", "4e-5", "6e-5", "8e-5", "1e-4"}));
}

TEST(Axis, SurvivesSingleZeroAndMissingValues) {
  for (const auto& values : std::vector<std::vector<double>>{
           {}, {0}, {5}, {-3}, {NAN}, {INFINITY, 2}, {1e-9, 1e-9}, {1e300}}) {
    for (const bool logarithmic : {false, true}) {
      const auto axis = report_page::make_axis(values, {.logarithmic = logarithmic});
      EXPECT_LT(axis.low, axis.high);
      EXPECT_LT(axis.ticks.size(), 40u);
    }
  }
}

RunData loaded(const SyntheticRun& run) {
  const RunDir dir;
  write_synthetic_run(dir / "run", run);
  return report_page::load_runs({dir / "run"}).front();
}

TEST(Verdict, SaysWhatHappened) {
  SyntheticRun run;
  auto good = report_page::verdict({loaded(run)});
  EXPECT_EQ(good[0].rfind("It learned: training loss fell from 4.", 0), 0u) << good[0];
  EXPECT_EQ(good[1].rfind("The experts are well balanced", 0), 0u) << good[1];
  EXPECT_NE(good[1].find("nothing was dropped and no expert is dead"), std::string::npos);
  EXPECT_NE(
      good[2].find(
          "A step took 170.7 ms (48.0k tokens/s), most of it in backward (49 %), forward (26 %)"),
      std::string::npos)
      << good[2];
  run.skew = 1.5;
  run.dead_expert = 0;
  run.dropped = 0.1;
  const auto bad = report_page::verdict({loaded(run)});
  EXPECT_EQ(bad[1].rfind("The experts are not balanced", 0), 0u) << bad[1];
  EXPECT_NE(bad[1].find("1 expert got no token at all"), std::string::npos) << bad[1];
  run.layers = 0;
  EXPECT_NE(report_page::verdict({loaded(run)})[1].find("dense model"), std::string::npos);
}

TEST(Verdict, NamesRisingLossesAndOverfitting) {
  RunData run = loaded({});
  RunData rising = run;
  for (size_t i = 0; i < rising.all.size(); ++i)
    rising.all[i].loss = 3 + 0.01 * static_cast<double>(i);
  EXPECT_EQ(report_page::verdict({rising})[0].rfind("It did not learn", 0), 0u);
  run.all.back().val_loss = 9;
  EXPECT_NE(report_page::verdict({run})[0].find("rose to 9.000 since, a sign of overfitting"),
            std::string::npos);
  for (StepMetrics& row : run.all) row.val_loss.reset();
  EXPECT_NE(report_page::verdict({run})[0].find("never evaluated"), std::string::npos);
}

TEST(Verdict, ALossThatIsNoNumberIsNotTheBest) {
  RunData run = loaded({});
  const auto before = report_page::summarise(run);
  run.all.back().val_loss = NAN;
  const auto after = report_page::summarise(run);
  EXPECT_TRUE(std::isfinite(after.best_val));
  EXPECT_LT(after.best_val_step, before.best_val_step);
  EXPECT_NE(report_page::verdict({run})[0].find("the held-out loss is not a number at step"),
            std::string::npos);
  run.all.back().val_loss.reset();
  for (StepMetrics& row : run.all) row.loss = row.step == 10 ? 5.5 : 969587.141;
  EXPECT_NE(report_page::verdict({run})[0].find("went from 5.500 to 970k nats"), std::string::npos);
}

TEST(Verdict, RanksSeveralRuns) {
  SyntheticRun slow;
  slow.speed = 20000;
  SyntheticRun worse;
  worse.final_loss = 2.5;
  worse.skew = 1.5;
  RunData a = loaded(slow);
  RunData b = loaded(worse);
  a.name = "slow";
  b.name = "worse";
  const auto sentences = report_page::verdict({b, a});
  EXPECT_EQ(sentences[0].rfind("slow learned most", 0), 0u) << sentences[0];
  EXPECT_EQ(sentences[1].rfind("slow is balanced best", 0), 0u) << sentences[1];
  EXPECT_EQ(sentences[2].rfind("worse is fastest", 0), 0u) << sentences[2];
}

TEST(HasMetrics, IsTrueForRunDirectoriesOnly) {
  const RunDir dir;
  EXPECT_FALSE(has_metrics(dir.path()));
  EXPECT_FALSE(has_metrics(dir / "none"));
  write_synthetic_run(dir.path(), {});
  EXPECT_TRUE(has_metrics(dir.path()));
}

}  // namespace
}  // namespace troupe
