// Reads the data of a report back from its HTML.
#pragma once

#include <gtest/gtest.h>

#include <map>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "launch/metrics/step_metrics.h"

namespace troupe::testing {

// The JSON of the page's data element.
inline nlohmann::json page_data(const std::string& html) {
  const std::string mark = "id=\"troupe-data\"";
  size_t begin = html.find(mark);
  EXPECT_NE(begin, std::string::npos);
  begin = html.find('>', begin) + 1;
  return nlohmann::json::parse(html.substr(begin, html.find("</script>", begin) - begin));
}

// Every shown row is a row of `written`, value by value; with `all` none is missing.
inline void expect_rows(const nlohmann::json& shown, const std::vector<StepMetrics>& written,
                        bool all) {
  std::map<int64_t, StepMetrics> by_step;
  for (const StepMetrics& row : written) by_step[row.step] = row;
  if (all) {
    EXPECT_EQ(shown["step"].size(), written.size());
  }
  for (size_t i = 0; i < shown["step"].size(); ++i) {
    const auto at = by_step.find(shown["step"][i].get<int64_t>());
    ASSERT_NE(at, by_step.end());
    const StepMetrics& m = at->second;
    const nlohmann::json& phases = shown["phase_ms"];
    EXPECT_EQ(shown["tokens"][i], m.tokens);
    EXPECT_EQ(shown["loss"][i], m.loss);
    EXPECT_EQ(shown["val_loss"][i].is_null(), !m.val_loss.has_value());
    if (m.val_loss) {
      EXPECT_EQ(shown["val_loss"][i], *m.val_loss);
    }
    EXPECT_EQ(shown["lr"][i], m.lr);
    EXPECT_EQ(shown["grad_norm"][i], m.grad_norm);
    EXPECT_EQ(shown["tokens_per_s"][i], m.tokens_per_s);
    EXPECT_EQ(shown["step_ms"][i], m.step_ms);
    EXPECT_EQ(shown["gemm_fraction"][i], m.gemm_fraction);
    EXPECT_EQ(shown["balance_loss"][i], m.balance_loss);
    EXPECT_EQ(shown["z_loss"][i], m.z_loss);
    EXPECT_EQ(shown["load_max_over_mean"][i], m.load_max_over_mean);
    EXPECT_EQ(shown["rank_load_max_over_mean"][i], m.rank_load_max_over_mean);
    EXPECT_EQ(shown["dropped_fraction"][i], m.dropped_fraction);
    EXPECT_EQ(shown["dead_experts"][i], m.dead_experts);
    EXPECT_EQ(shown["router_entropy"][i], m.router_entropy);
    EXPECT_EQ(shown["mem_peak_bytes"][i], m.mem_peak_bytes);
    EXPECT_EQ(phases["forward"][i], m.phase_ms.forward);
    EXPECT_EQ(phases["backward"][i], m.phase_ms.backward);
    EXPECT_EQ(phases["dispatch"][i], m.phase_ms.dispatch);
    EXPECT_EQ(phases["comm"][i], m.phase_ms.comm);
    EXPECT_EQ(phases["optimizer"][i], m.phase_ms.optimizer);
    EXPECT_EQ(phases["data"][i], m.phase_ms.data);
  }
}

}  // namespace troupe::testing
