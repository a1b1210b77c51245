// The line charts of the page, made from the runs' rows.
#pragma once

#include <vector>

#include "launch/report/line_chart.h"
#include "launch/report/run_data.h"

namespace troupe::report_page {

// Loss against steps, tokens and time.
std::vector<LineChart> loss_charts(const std::vector<RunData>& runs);
// Imbalance over experts and ranks, drops, router entropy.
std::vector<LineChart> expert_charts(const std::vector<RunData>& runs);
// Gradient norm, learning rate, regularisers.
std::vector<LineChart> optimisation_charts(const std::vector<RunData>& runs);
// Tokens per second, share of the machine's matrix rate.
std::vector<LineChart> speed_charts(const std::vector<RunData>& runs);

}  // namespace troupe::report_page
