// Where the time of a step went: a stacked area over the steps of one run, a stacked bar for each
// run.
#pragma once

#include <string>
#include <vector>

#include "launch/report/run_data.h"

namespace troupe::report_page {

std::string phase_area(const std::string& id, const RunData& run, size_t run_index);
std::string phase_bars(const std::string& id, const std::vector<RunData>& runs);

}  // namespace troupe::report_page
